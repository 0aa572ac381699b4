"""Containers of OpenStack Swift."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from glare.stores.objects.driver import ObjectStoreDriver, Place
from glare.stores.objects.layout import Keys
from glare.stores.objects.options import SwiftOptions
from glare.stores.objects.reader import Patience
from glare.stores.objects.survey import Survey, survey_place
from glare.stores.objects.swift.account import Account
from glare.stores.objects.swift.container import Container


def make_driver(options: SwiftOptions, name: str, recorded: Callable[[], str | None]) -> ObjectStoreDriver:
    """The driver for these. Raises `Unavailable` for options that cannot work."""
    words = f"container {options.container!r} of the account at {options.endpoint}"
    place = Place(Container(Account(options, name), options.container), Keys(options.prefix), words)
    times = options.times
    patience = Patience(times.retries + 1, times.longest_pause)
    return ObjectStoreDriver(place, name=name, patience=patience, recorded=recorded)


def survey(options: SwiftOptions, name: str) -> Survey:
    """Ask the place, change nothing there: whether it can be reached, with these credentials."""
    once = replace(options, times=replace(options.times, retries=0))
    return survey_place(options, Container(Account(once, name), options.container))
