"""Linear algebra in one thread, also where several threads of Python ask for it."""

import threading

import pytest
from threadpoolctl import ThreadpoolController, threadpool_limits

from pocketknn.builder.system.blas import in_order, one_thread


def threads():
    """By library; without that of OpenCV, which another test may have loaded with MediaPipe."""
    import scipy.linalg  # noqa: F401  # with a BLAS of its own

    return {
        one["filepath"]: one["num_threads"]
        for one in ThreadpoolController().info()
        if one["user_api"] == "blas" and "opencv" not in one["filepath"]
    }


@pytest.fixture
def two():
    """Both BLAS with two threads, whatever this machine and the tests allow."""
    threads()
    with threadpool_limits(2, user_api="blas"):
        assert set(threads().values()) == {2}
        yield


def test_the_limit_holds_inside_and_ends_with_the_block(two):
    with one_thread():
        assert set(threads().values()) == {1}
        with one_thread():
            pass
        assert set(threads().values()) == {1}, "the inner block does not end it"
    assert set(threads().values()) == {2}


def test_blocks_of_two_threads_that_overlap_share_it(two):
    """Each would restore what it found: the second one a limit that the first has set."""
    inside, first_ends = threading.Event(), threading.Event()
    seen = []

    def second():
        with one_thread(with_scipy=False):
            inside.set()
            first_ends.wait(10)
            seen.append(set(threads().values()))

    other = threading.Thread(target=second)
    with one_thread():
        other.start()
        assert inside.wait(10)
    first_ends.set()
    other.join()
    assert seen == [{1}], "the other block is still running"
    assert set(threads().values()) == {2}


def test_a_block_that_fails_ends_it_too(two):
    with pytest.raises(ValueError, match="no"), one_thread():
        raise ValueError("no")
    assert set(threads().values()) == {2}


def test_what_is_limited_later_is_restored_as_well(two):
    with one_thread(with_scipy=False), one_thread():
        assert set(threads().values()) == {1}
    assert set(threads().values()) == {2}


@pytest.mark.parametrize("count", [0, 1, 5])
def test_items_keep_their_order_and_have_one_thread_each(two, count):
    first = threading.Event()

    def slow_at_first(number):
        if number == 0 and count > 1:
            assert first.wait(10), "another core goes on meanwhile"
        first.set()
        return number, set(threads().values())

    found = list(in_order(slow_at_first, range(count)))
    assert [number for number, _ in found] == list(range(count))
    assert all(limits == {1} for _, limits in found if count > 1)
    assert set(threads().values()) == {2}
