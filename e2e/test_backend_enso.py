"""The archive, driven as its document drove it: with a plain client that guesses."""

import asyncio
from collections import Counter

import httpx

# Four zoom levels, five columns, four rows each: what one tries who has not read the descriptor.
GUESSES = [(level, column, row) for level in range(9, 13) for column in range(5) for row in range(4)]


def test_34_of_80_guessed_tiles_do_not_exist(backend):
    server = backend("enso", "slide_px=2048", "storage_ms=0")

    async def tiles():
        async with httpx.AsyncClient(base_url=server.url, timeout=30, trust_env=False) as client:
            path = "/api/slides/slide_000/dzi_files/{}/{}_{}.jpeg"
            return await asyncio.gather(*(client.get(path.format(*guess)) for guess in GUESSES))

    answers = asyncio.run(tiles())
    assert Counter(answer.status_code for answer in answers) == {200: 46, 404: 34}
    # Those that exist are pictures, and the refusals say what is missing: the count is of guesses and not of defects.
    assert all(answer.content[:2] == b"\xff\xd8" for answer in answers if answer.status_code == 200)
    assert all("detail" in answer.json() for answer in answers if answer.status_code == 404)
