from datetime import timedelta

from wave_doubles import NOW, order, wave_targets

from patchline_fleet.runs import Assignment, WaveRun


def run(*ids, concurrency=2, tolerates=0, window_ends_at=None, ends_with_window=True):
    return WaveRun(
        id="w/deploy",
        step="deploy",
        order=order(concurrency=concurrency, window_ends_at=window_ends_at),
        phase="running",
        ends_with_window=ends_with_window,
        tolerates=tolerates,
        waiting=tuple(Assignment(target=target) for target in wave_targets(*ids)),
    )


def started(run):
    return [assignment.target_id for assignment in run.take(NOW)]


def test_at_most_as_many_run_at_once_as_the_order_says():
    wave = run("a", "b", "c")
    assert started(wave) == ["a", "b"]
    assert started(wave) == []
    wave.ends("a", "succeeded")
    assert started(wave) == ["c"]


def test_an_answer_that_comes_twice_counts_once():
    wave = run("a", "b", "c", concurrency=1)
    wave.take(NOW)
    wave.ends("a", "failed")
    wave.ends("a", "failed")
    assert (wave.ended, wave.failed) == (("a",), ("a",))


def test_an_answer_of_a_target_that_was_not_started_counts_nothing():
    wave = run("a", "b", concurrency=1)
    wave.take(NOW)
    wave.ends("b", "succeeded")
    assert wave.ended == ()


def test_more_failures_than_tolerated_start_no_further_target():
    wave = run("a", "b", "c", concurrency=1, tolerates=1)
    wave.take(NOW)
    wave.ends("a", "timed-out")
    assert started(wave) == ["b"]
    wave.ends("b", "unreachable")
    assert started(wave) == []
    assert wave.is_over(NOW)
    assert [assignment.target_id for assignment in wave.waiting] == ["c"]


def test_where_all_are_to_be_tried_failures_stop_nothing():
    wave = run("a", "b", concurrency=1, tolerates=None)
    wave.take(NOW)
    wave.ends("a", "failed")
    assert started(wave) == ["b"]


def test_the_windows_end_starts_no_more_and_waits_for_what_runs():
    wave = run("a", "b", concurrency=1, window_ends_at=NOW + timedelta(minutes=1))
    wave.take(NOW)
    late = NOW + timedelta(minutes=1)
    assert not wave.is_over(late)
    wave.ends("a", "succeeded")
    assert wave.take(late) == ()
    assert wave.is_over(late)


def test_a_step_that_is_not_bound_to_the_window_goes_on_after_it():
    wave = run("a", window_ends_at=NOW, ends_with_window=False)
    assert started(wave) == ["a"]


def test_a_new_lap_goes_over_all_targets_again():
    wave = run("a", "b")
    taken = wave.take(NOW)
    wave.ends("a", "succeeded")
    wave.ends("b", "succeeded")
    assert wave.is_over(NOW)
    wave.again(taken)
    assert (wave.lap, started(wave), wave.is_over(NOW)) == (2, ["a", "b"], False)
