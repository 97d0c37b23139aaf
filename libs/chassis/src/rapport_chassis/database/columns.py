"""Columns of the kinds that tables of services are made of; none is NULL unless it says so."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, DateTime, LargeBinary, SmallInteger, Text


def moment(*, nullable: bool = False, **options: Any) -> Any:
    """Return the column of a time, with its zone."""
    return Column(DateTime(timezone=True), nullable=nullable, **options)


def words(*, nullable: bool = False, **options: Any) -> Any:
    """Return the column of a text."""
    return Column(Text, nullable=nullable, **options)


def binary(*, nullable: bool = False, **options: Any) -> Any:
    """Return the column of bytes."""
    return Column(LargeBinary, nullable=nullable, **options)


def number(*, nullable: bool = False, **options: Any) -> Any:
    """Return the column of a whole number of 64 bits."""
    return Column(BigInteger, nullable=nullable, **options)


def small(*, nullable: bool = False, **options: Any) -> Any:
    """Return the column of a whole number of 16 bits."""
    return Column(SmallInteger, nullable=nullable, **options)
