"""Files on Google Drive: gdown reads the pages that stand before a large file, the transfer itself is our own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urljoin

import gdown
import requests
from gdown.download import get_url_from_gdrive_confirmation
from gdown.exceptions import DownloadError as GdownError
from gdown.parse_url import parse_url

from os2d.download.over_http import answer, read_page, reason, stream_of
from os2d.download.remote import CONNECT_SECONDS, READ_SECONDS, RemoteError, RemoteStream, Wanted, page_title
from os2d.errors import DownloadError, DownloadInterruptedError

DRIVE = "https://drive.google.com"

_MOST_PAGES = 4
"""A large file stands behind one page (no virus scan); more than a few mean that they lead in a circle."""


def browser_address(file_id: str) -> str:
    """Return the address at which a person finds the file."""
    return f"{DRIVE}/open?id={file_id}"


def drive_file_id(url: str) -> str | None:
    """Return the id in a link to a file on Google Drive; None for any other address."""
    return parse_url(url)[0]


@contextmanager
def open_google_drive(file_id: str, wanted: Wanted, base: str = DRIVE) -> Iterator[RemoteStream]:
    """Start the transfer of a shared file, through the confirmation pages that Drive puts before large ones.

    Args:
        file_id: from the sharing link.
        wanted: where an earlier transfer broke off.
        base: address of Drive, or of a mirror that answers like it.
    """
    url = f"{base}/uc?id={file_id}&export=download"
    with requests.Session() as session:  # the pages set cookies that the next request must bring along
        for _ in range(_MOST_PAGES):
            with answer(session, url, wanted) as response:
                if not _is_page(response):
                    yield stream_of(response, wanted)
                    return
                url = _next_address(read_page(response), response.url)
    raise RemoteError("Google Drive asks for confirmation again and again")


def list_google_drive_folder(folder_id: str) -> dict[str, str]:
    """Return the files of a shared folder: path inside it -> id."""
    try:
        found = gdown.download_folder(
            id=folder_id,
            output="listing",  # only a prefix of names: nothing is written
            quiet=True,
            use_cookies=False,
            skip_download=True,
            timeout=(CONNECT_SECONDS, READ_SECONDS),
        )
    except requests.RequestException as error:
        raise DownloadInterruptedError(f"Google Drive: {reason(error)}{_open_folder(folder_id)}") from error
    except GdownError as error:
        raise DownloadError(f"Google Drive does not list the folder: {error}{_open_folder(folder_id)}") from error
    return {str(file.path): str(file.id) for file in found if not isinstance(file, str)}


def _open_folder(folder_id: str) -> str:
    return f"\nby hand: open {DRIVE}/drive/folders/{folder_id} in a browser"


def _is_page(response: requests.Response) -> bool:
    html = response.headers.get("Content-Type", "").lower().startswith("text/html")
    return html and response.ok and "Content-Disposition" not in response.headers


def _next_address(page: bytes, page_url: str) -> str:
    """Return where the button of a confirmation page leads."""
    try:
        return urljoin(page_url, get_url_from_gdrive_confirmation(page.decode("utf-8", "replace")))
    except GdownError as error:
        raise RemoteError(f"Google Drive sent a web page{page_title(page)} instead of the file: {error}") from error
