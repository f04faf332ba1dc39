"""Wait for an hour without waiting: the loop's clock jumps to the next timer."""

from tapeline.testing import VirtualClock, run_virtual


async def main() -> float:
    clock = VirtualClock()
    started_ns = clock.monotonic_ns()
    await clock.sleep(3_600)
    return (clock.monotonic_ns() - started_ns) / 1e9


if __name__ == "__main__":
    print(f"{run_virtual(main):.0f} s have passed")
