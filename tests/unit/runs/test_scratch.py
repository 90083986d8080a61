import asyncio
import sys

from patchline_fleet.scratch import scratch, sweep


async def test_a_scratch_folder_is_empty_and_removed_at_the_end(tmp_path):
    async with scratch(tmp_path / "work", "test") as folder:
        assert list(folder.iterdir()) == []
        (folder / "sub").mkdir()
        (folder / "sub" / "file").write_text("x")
        (folder / "sub").chmod(0o500)
    assert list((tmp_path / "work").iterdir()) == []


async def test_a_sweep_leaves_folders_in_use_alone(tmp_path):
    async with scratch(tmp_path, "test") as folder:
        assert await sweep(tmp_path, "test") == 0
        assert folder.is_dir()


async def test_a_sweep_removes_what_a_killed_process_left(tmp_path):
    code = (
        "import asyncio, os, sys\n"
        "from pathlib import Path\n"
        "from patchline_fleet.scratch import scratch\n"
        "async def main():\n"
        "    async with scratch(Path(sys.argv[1]), 'test') as folder:\n"
        "        (folder / 'copy').write_text('x')\n"
        "        os.kill(os.getpid(), 9)\n"
        "asyncio.run(main())\n"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, str(tmp_path))
    assert await process.wait() == -9
    assert len(list(tmp_path.iterdir())) == 1
    assert await sweep(tmp_path, "other") == 0
    assert await sweep(tmp_path, "test") == 1
    assert list(tmp_path.iterdir()) == []


async def test_a_sweep_never_follows_a_link_out_of_the_folder(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o555)
    (tmp_path / "work").mkdir()
    async with scratch(tmp_path / "work", "test") as folder:
        (folder / "link").symlink_to(outside)
    assert outside.stat().st_mode & 0o777 == 0o555


async def test_there_is_nothing_to_sweep_where_nothing_ever_was(tmp_path):
    assert await sweep(tmp_path / "work", "test") == 0


async def test_a_sweep_never_meets_with_a_folder_that_is_just_made_or_removed(tmp_path):
    async def work():
        for _ in range(200):
            async with scratch(tmp_path, "test") as folder:
                (folder / "a").write_text("a")
                assert (folder / "a").read_text() == "a"

    working = asyncio.gather(work(), work())
    while not working.done():
        await asyncio.gather(sweep(tmp_path, "test"), sweep(tmp_path, "test"))
    await working
    assert list(tmp_path.iterdir()) == []
