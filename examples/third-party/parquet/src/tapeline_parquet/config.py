"""What an operator may say about the Parquet sink."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import attrs

Decimals = Literal["decimal128", "text"]
Compression = Literal["zstd", "snappy", "none"]


def _path(value: str | Path) -> Path:
    return Path(value)


@attrs.frozen(kw_only=True)
class ParquetConfig:
    """One folder of Parquet files."""

    path: Path = attrs.field(
        converter=_path,
        metadata={"description": "folder; made when it is not there"},
    )
    rotate_bytes: int = attrs.field(
        default=64 * 2**20,
        validator=attrs.validators.ge(1),
        metadata={"description": "size of the spool that is turned into Parquet files"},
    )
    rotate_s: float = attrs.field(
        default=300.0,
        validator=attrs.validators.gt(0),
        metadata={"description": "age of the spool, in seconds, at which it is, too"},
    )
    decimals: Decimals = attrs.field(
        default="decimal128",
        validator=attrs.validators.in_(("decimal128", "text")),
        metadata={
            "description": "type of exact numbers: 20 + 18 digits, or any as text"
        },
    )
    compression: Compression = attrs.field(
        default="zstd",
        validator=attrs.validators.in_(("zstd", "snappy", "none")),
        metadata={"description": "codec of the columns"},
    )
