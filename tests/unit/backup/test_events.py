import pytest
from wave_doubles import NOW, order

from patchline_backup.events import backed_up
from patchline_fleet.runs import Assignment, Lap, TargetRun
from patchline_schemas.envelope import MAX_MESSAGE_BYTES
from patchline_schemas.waves import Backup, TargetResult, WaveBackedUp, WaveBackupFailed, WaveTarget

WAVE = order().wave_id


def lap(count, length):
    runs = []
    for number in range(count):
        id = f"target-{number:03}".ljust(length, "x")
        target = WaveTarget(target_id=id, from_version="3.1.2", environment="e" * 64)
        runs.append(
            TargetRun(
                id=id,
                wave_run=f"{WAVE}/backup",
                step="backup",
                order=order(),
                assignment=Assignment(target=target),
                allowed_at=NOW,
                scope=id,
                result=TargetResult(target_id=id, outcome="succeeded"),
                backup=Backup(
                    target_id=id,
                    address=f"folder:{id}/{WAVE}.{'d' * 16}.tar.zst",
                    sha256="s" * 64,
                    size=1_482_113_000,
                    packages_total=100,
                    files_total=4000,
                ),
            )
        )
    return Lap(order(), 1, tuple(runs))


@pytest.mark.parametrize("length", [10, 40, 70])
def test_the_backups_of_the_largest_wave_fit_into_one_event(length):
    event = backed_up(lap(500, length))
    assert isinstance(event, WaveBackedUp)
    assert (len(event.targets), len(event.backups)) == (500, 500)
    assert len(event.model_dump_json(exclude_none=True)) < MAX_MESSAGE_BYTES


def test_a_wave_that_does_not_fit_fails_and_says_what_to_change():
    event = backed_up(lap(500, 120))
    assert isinstance(event, WaveBackupFailed)
    assert "wave_size" in event.error
