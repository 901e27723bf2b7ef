import threading
import time

import pytest

from reidsearch.ingest.prefetch import in_parallel, prefetch


def counted(made, fail_at=None, error=None):
    """Numbers from 1 to 10; each is noted in `made` when it is made."""
    for number in range(1, 11):
        if number == fail_at:
            raise error
        made.append(number)
        yield number


def doubled(numbers):
    for number in numbers:
        yield 2 * number


def names_of_threads():
    return {thread.name for thread in threading.enumerate()}


def wait_until(done):
    deadline = time.monotonic() + 10
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_nothing_comes_of_nothing():
    with prefetch([], "empty") as items:
        assert list(items) == []


def test_items_come_in_order_through_several_stages():
    with prefetch(counted([]), "count") as numbers, prefetch(doubled(numbers), "double") as doubles:
        assert list(doubles) == list(range(2, 22, 2))


def test_items_are_made_ahead_but_only_a_little():
    made = []
    with prefetch(counted(made), "count") as numbers:
        wait_until(lambda: made == [1, 2])  # one waits in the queue, one for room in it
        time.sleep(0.05)
        assert made == [1, 2]
        assert next(iter(numbers)) == 1
        wait_until(lambda: made == [1, 2, 3])


def use(error, fail_at, used, seen, made):
    """Append to `seen` what two stages make, and fail in the first, or after some were used."""
    with (
        prefetch(counted(made, fail_at, error), "count") as numbers,
        prefetch(doubled(numbers), "double") as doubles,
    ):
        for number in doubles:
            seen.append(number)
            if len(seen) == used:
                raise error


@pytest.mark.parametrize("error", [ValueError("no more"), KeyboardInterrupt()])
def test_error_is_raised_after_the_items_before_it(error):
    seen = []
    with pytest.raises(type(error)):
        use(error, 4, None, seen, [])
    assert seen == [2, 4, 6]
    assert names_of_threads().isdisjoint({"count", "double"})


@pytest.mark.parametrize("used", [1, 5])
def test_threads_end_when_their_user_fails(used):
    made = []
    with pytest.raises(OSError, match="full"):
        use(OSError("the disk is full"), None, used, [], made)
    assert names_of_threads().isdisjoint({"count", "double"})
    assert len(made) <= used + 5


def test_stage_that_gathers_does_not_go_on_when_its_user_fails():
    """Else a full disk would be said after many frames that are looked at in vain."""
    made = []

    def gather(numbers):
        yield next(iter(numbers))
        yield list(numbers)

    def slowly(numbers):
        for number in numbers:
            made.append(number)
            time.sleep(0.02)
            yield number

    def fail():
        with (
            prefetch(slowly(range(500)), "count") as numbers,
            prefetch(gather(numbers), "gather", numbers) as gathered,
        ):
            next(iter(gathered))
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        fail()
    assert len(made) < 400


def test_times_tell_who_waits_for_whom():
    def slowly(items):
        for item in items:
            time.sleep(0.02)
            yield item

    began = time.perf_counter()
    with (
        prefetch(iter(range(10)), "fast") as fast,
        prefetch(slowly(fast), "slow", fast) as slow,
    ):
        assert len(list(slow)) == 10
        first, second = slow.times
    elapsed_s = time.perf_counter() - began
    assert (first.name, second.name) == ("fast", "slow")
    # A busy machine makes any of these longer, but nothing is counted twice.
    assert second.busy_s >= 0.2
    assert first.output_wait_s > 0.1
    assert slow.wait_s > 0.1
    for times in (first, second):
        assert times.busy_s + times.input_wait_s + times.output_wait_s <= elapsed_s


def test_nothing_is_made_of_nothing_in_parallel():
    assert list(in_parallel(str, [], 2)) == []


def test_parallel_results_come_in_the_order_of_the_items():
    def slow_if_odd(number):
        time.sleep(0.01 * (number % 2))
        return number

    assert list(in_parallel(slow_if_odd, range(10), 3)) == list(range(10))


def test_so_many_are_under_way_at_once():
    meeting = threading.Barrier(2, timeout=10)
    assert len(list(in_parallel(lambda _: meeting.wait(), range(4), 2))) == 4


def test_error_in_parallel_work_comes_in_its_place():
    results = in_parallel(lambda number: 6 // number, [3, 2, 0, 1], 2)
    assert [next(results), next(results)] == [2, 3]
    with pytest.raises(ZeroDivisionError):
        next(results)
