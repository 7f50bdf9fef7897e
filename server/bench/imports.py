"""Import: a CSV file into the ledger, beside a bare COPY of the same rows into the same table."""

import asyncio
import csv
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psycopg

from server.bench.measurement import Measurement, peak_megabytes
from server.bench.workshop import MESSAGE, Workshop
from server.database import async_engine
from server.services import drafts
from server.services.csv_lists import open_csv

_COPY = "COPY whatsapp_broadcast_recipients (broadcast_id, business_id, row_number, phone, variables) FROM STDIN"


def run(shop: Workshop, *, people: int) -> list[Measurement]:
    """Rows per second, ours and bare; ours in a process of its own, whose peak of memory is told."""
    with tempfile.TemporaryDirectory(prefix="clarion-bench-") as folder:
        path = Path(folder) / "people.csv"
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("phone", "first_name", "order_id"))
            writer.writerows((f"+97250{number:07d}", "Dana", f"A-{number}") for number in range(people))
        done = subprocess.run(  # noqa: S603 - our own code
            [sys.executable, "-m", __name__, shop.database_url, str(shop.business_id), str(path)],
            capture_output=True,
            text=True,
            check=True,
        )
    seconds, megabytes = map(float, done.stdout.split())
    shop.settle()
    bare = _bare_copy(shop, people)
    remark = f"{people:,} rows in {seconds:.1f} s, at most {megabytes:.0f} MB"
    return [Measurement("import", people / seconds, "rows/s", people / bare, remark)]


async def _import(database_url: str, business_id: int, path: Path) -> float:
    began = time.perf_counter()
    async with async_engine(database_url) as engine, engine.begin() as connection:
        new = drafts.NewBroadcast("A benchmark", MESSAGE)
        broadcast_id = await drafts.create(connection, business_id, new)
        await drafts.add_recipients(connection, broadcast_id, open_csv(path))
    return time.perf_counter() - began


def _bare_copy(shop: Workshop, people: int) -> float:
    lines = [
        f'9999999\t1\t{number}\t+97250{number:07d}\t{{"first_name":"Dana","order_id":"A-{number}"}}\n'.encode()
        for number in range(people)
    ]
    began = time.perf_counter()
    with psycopg.connect(shop.database_url) as connection, connection.cursor() as cursor:
        with cursor.copy(_COPY) as copy:
            for start in range(0, people, 1000):
                copy.write(b"".join(lines[start : start + 1000]))
        connection.commit()
    return time.perf_counter() - began


if __name__ == "__main__":
    took = asyncio.run(_import(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])))
    sys.stdout.write(f"{took} {peak_megabytes()}\n")
