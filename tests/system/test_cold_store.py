"""A store that the kernel has dropped from memory is read again in order, by whoever opens it."""

import ctypes
import mmap
import os

import pytest
from source_support import publish_lenders
from tarn.waiting import wait_until

PAGE = mmap.PAGESIZE


def resident(path):
    """How much of a file is in memory, from 0 to 1, asked of the kernel."""
    with open(path, "r+b") as file, mmap.mmap(file.fileno(), 0) as pages:
        count = (len(pages) + PAGE - 1) // PAGE
        is_there = (ctypes.c_ubyte * count)()
        first = ctypes.c_char.from_buffer(pages)
        libc = ctypes.CDLL(None, use_errno=True)
        failed = libc.mincore(ctypes.c_void_p(ctypes.addressof(first)), ctypes.c_size_t(len(pages)), is_there)
        del first
        assert failed == 0, os.strerror(ctypes.get_errno())
        return sum(page & 1 for page in is_there) / count


def make_cold(path):
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    if resident(path) > 0.1:
        pytest.skip("this file system lives in memory")


def test_projector_and_query_server_read_a_cold_store_ahead(kafka, new_topic, publisher, programs, store):
    topic = new_topic("all")
    projector = programs.projector(store, kafka, topic)
    publish_lenders(publisher, topic, range(4000), name="Bank " * 200)
    projector.wait_caught_up()
    projector.stop()
    data = next(store.glob("generations/*/data.mdb"))
    query = programs.query(store, start=False)
    for program in projector, query:
        make_cold(data)
        program.flags = ["--read-ahead", "0"]
        program.start()
        assert resident(data) < 0.5, program.name
        program.stop()

        make_cold(data)
        program.flags = []
        program.start()
        wait_until(lambda: resident(data) > 0.95, f"{program.name} to read it", alive=[program])
        program.stop()
