"""Parquet sink for Tapeline."""

from tapeline_parquet.adapter import ParquetAdapter
from tapeline_parquet.config import ParquetConfig
from tapeline_parquet.disk import Disk
from tapeline_parquet.sink import ParquetSink

__all__ = ["Disk", "ParquetAdapter", "ParquetConfig", "ParquetSink"]
