"""What a server is told: on the command line, or by environment variables ``ONESHOT_SERVE_*``.

Light on purpose (no torch, no FastAPI): what cannot be used is said at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from os2d.errors import ConfigError

PREFIX = "ONESHOT_SERVE_"

LARGEST_SCALE = 10_000


class ServeSettings(BaseSettings):
    """Everything that can be set; an argument wins over its environment variable."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, frozen=True, extra="forbid", hide_input_in_errors=True
    )

    model: str = Field("", description="weights file, name of a released model, or trial")
    device: str = Field("auto", description="auto, cpu or cuda")
    scales: Annotated[tuple[float, ...], NoDecode] = Field(
        (), description="sizes at which images are seen, in pixels, with commas between; none: the network's own"
    )
    published_route_px: int = Field(
        1500, ge=16, le=LARGEST_SCALE, description="square root of the area at which the published route sees images"
    )
    host: str = Field("127.0.0.1", description="address to listen at; 0.0.0.0: every interface of this machine")
    port: int = Field(8000, ge=0, le=65535, description="port to listen at; 0: a free one, which the log tells")
    api_key: SecretStr | None = Field(
        None, min_length=8, description="what clients have to send as X-API-Key; none: everybody is let in"
    )
    max_body_mb: float = Field(32, gt=0, description="largest request, in MiB")
    max_megapixels: float = Field(25, gt=0, description="largest picture, in millions of pixels")
    max_side_px: int = Field(12_000, ge=16, description="longest side of a picture")
    max_class_images: int = Field(20, ge=1, description="class images of one request")
    max_detections: int = Field(1000, ge=1, description="most detections of one answer")
    max_pending: int = Field(16, ge=1, description="requests taken on at a time; the next ones get 429")
    max_batch: int = Field(4, ge=1, description="images that go through the network together")
    batch_wait_ms: float = Field(3, ge=0, description="how long an image waits for others to join it")
    request_seconds: float = Field(60, gt=0, description="time from the arrival of a request to its answer")
    upload_seconds: float = Field(15, gt=0, description="longest pause within an upload")
    cached_class_images: int = Field(256, ge=1, description="registered class images whose features are kept")

    @field_validator("scales", mode="before")
    @classmethod
    def _split(cls, given: object) -> object:
        return given.split(",") if isinstance(given, str) else given

    @field_validator("scales")
    @classmethod
    def _check_scales(cls, scales: tuple[float, ...]) -> tuple[float, ...]:
        if not all(0 < scale < LARGEST_SCALE for scale in scales):
            raise ValueError(f"expected numbers of pixels below {LARGEST_SCALE}, with commas between")
        return scales

    @property
    def max_body_bytes(self) -> int:
        """Return the size of the largest request."""
        return int(self.max_body_mb * 2**20)


def read_settings(given: Mapping[str, Any]) -> ServeSettings:
    """Return the settings; those not given come from the environment, then from the defaults.

    Raises:
        ConfigError: a value cannot be used; the message names its option and its variable.
    """
    try:
        return ServeSettings(**given)
    except ValidationError as e:
        first = e.errors(include_input=False, include_url=False)[0]
        name = str(first["loc"][0]) if first["loc"] else "settings"
        raise ConfigError(
            f"--{name.replace('_', '-')} (or {PREFIX}{name.upper()}): {first['msg'][:1].lower()}{first['msg'][1:]}"
        ) from e
