"""Writes deepzoom_golden.json: level sizes, tile counts and tile sizes as openslide-python gives them.

    pip install openslide-python openslide-bin pillow && python deepzoom_golden.py > deepzoom_golden.json
"""
import json

from openslide import ImageSlide
from openslide.deepzoom import DeepZoomGenerator
from PIL import Image

golden = {}
for width, height in [(2048, 1536), (2300, 1777), (1, 1), (254, 254), (255, 254), (1999, 13), (508, 509), (257, 1025)]:
    zoom = DeepZoomGenerator(ImageSlide(Image.new("RGB", (width, height))), 254, 1, True)
    sizes = []
    for level in range(zoom.level_count):
        across, down = zoom.level_tiles[level]
        for col in sorted({0, across // 2, across - 1}):
            for row in sorted({0, down - 1}):
                sizes.append([level, col, row, *zoom.get_tile_dimensions(level, (col, row))])
    golden[f"{width}x{height}"] = {
        "levels": [list(size) for size in zoom.level_dimensions],
        "tiles": [list(count) for count in zoom.level_tiles],
        "sizes": sizes,
    }
print(json.dumps(golden))
