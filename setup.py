"""Installation of oneshot-lab."""

from pathlib import Path

from setuptools import find_packages, setup

setup(
    name="oneshot-lab",
    version="0.1.0",
    description="Experiments for one-shot object detection: described once, run locally, in Ray or under SLURM",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    python_requires=">=3.11",
    packages=find_packages(include=["os2d*", "orchestration*", "experiments*", "baselines*"]),
    package_data={"orchestration": ["templates/*"]},
    install_requires=[
        "filelock>=4.2",
        "gdown>=6.5",
        "jinja2>=3.1",
        "matplotlib>=3.11",
        "mlflow>=3.17",
        "numpy>=2.4",
        "pandas>=3.1",
        "pillow>=13.0",
        "psutil>=7.2",
        "pyyaml>=6.0",
        "ray[tune]>=2.60",
        "requests>=2.32",
        "rich>=15.0",
        "scipy>=1.17",
        "sqlalchemy>=2.1",
        "submitit>=1.5",
        "torch>=2.11",
        "torchvision>=0.26",
        "typer>=0.29",
        "urllib3>=2.0",
        "yacs>=0.1",
    ],
    extras_require={
        "dev": [
            "hypothesis>=6.170",
            "mlflow[auth]>=3.17",
            "mypy>=2.4",
            "optuna>=5.0",
            "pandas-stubs",
            "pyftpdlib>=2.2",
            "pytest>=9.2",
            "pytest-xdist>=3.8",
            "ruff>=0.17",
            "types-PyYAML",
        ],
        "serve": ["fastapi>=0.110", "python-multipart>=0.0.9", "uvicorn>=0.29"],
        "search": ["optuna>=5.0", "hpbandster>=0.7", "ConfigSpace>=1.2"],
        "export": ["onnx>=1.16", "onnxruntime>=1.18", "onnxscript>=0.1"],
    },
    entry_points={"console_scripts": ["oneshot=orchestration.cli:main"]},
)
