"""Installation of oneshot-lab."""

from pathlib import Path

from setuptools import find_packages, setup

setup(
    name="oneshot-lab",
    version="0.1.0",
    description="Experiments for one-shot object detection: described once in Python, run locally or in Ray",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    python_requires=">=3.11",
    packages=find_packages(include=["os2d*", "orchestration*", "experiments*", "baselines*"]),
    package_data={"orchestration": ["templates/*"]},
    install_requires=[
        "filelock>=3.12",
        "jinja2>=3.1",
        "matplotlib>=3.8",
        "mlflow>=3.10",
        "numpy>=1.26",
        "pandas>=2.2",
        "pillow>=10.1",
        "psutil>=5.9",
        "pyyaml>=6.0",
        "ray[tune]>=2.50",
        "rich>=13.7",
        "sqlalchemy>=2.0",
        "submitit>=1.5.3",
        "torch>=2.11",
        "torchvision>=0.26",
        "typer>=0.12",
        "yacs>=0.1.8",
    ],
    extras_require={
        "dev": [
            "hypothesis>=6.100",
            "mypy>=1.10",
            "pandas-stubs",
            "pytest>=8.0",
            "pytest-xdist>=3.5",
            "ruff>=0.6",
            "types-PyYAML",
        ],
        "serve": ["fastapi>=0.110", "python-multipart>=0.0.9", "uvicorn>=0.29"],
        "export": ["onnx>=1.16", "onnxruntime>=1.18", "onnxscript>=0.1"],
    },
    entry_points={"console_scripts": ["oneshot=orchestration.cli:main"]},
)
