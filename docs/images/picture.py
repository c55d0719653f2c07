"""Draws what a command prints on a colour terminal as an SVG picture: the real output, nothing added.

    python docs/images/picture.py docs/images/report.svg --lines 1:60 -- prony report RUN

The command runs on a pseudo-terminal of 110 columns. Only colours, bold and dim are understood; anything else is dropped.
"""

import argparse
import fcntl
import html
import os
import pty
import re
import struct
import subprocess
import termios

COLOURS = {
    30: "#3b4048", 31: "#ff7b72", 32: "#7ee787", 33: "#e3b341", 34: "#79c0ff", 35: "#d2a8ff", 36: "#76e3ea", 37: "#e6edf3",
    90: "#8b949e", 91: "#ffa198", 92: "#aff5b4", 93: "#f2cc60", 94: "#a5d6ff", 95: "#e2c5ff", 96: "#b3f0ff", 97: "#ffffff",
}
COLUMNS, CELL_W, CELL_H, PAD = 110, 8.4, 18, 16


def printed(command: list[str]) -> str:
    """Standard output of the command as a terminal would get it."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 50, COLUMNS, 0, 0))
    env = {k: v for k, v in os.environ.items() if k != "NO_COLOR"} | {"TERM": "xterm-256color", "COLUMNS": str(COLUMNS)}
    child = subprocess.Popen(command, stdout=follower, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, env=env)
    os.close(follower)
    blocks = []
    try:
        while block := os.read(leader, 65536):
            blocks.append(block)
    except OSError:
        pass  # the way Linux says that the other side has closed
    child.wait()
    os.close(leader)
    return b"".join(blocks).decode(errors="replace").replace("\r\n", "\n")


def spans(line: str, style: dict):
    """(text, style) runs of a line; `style` carries over to the next."""
    for part in re.split(r"(\x1b\[[0-9;]*m)", line):
        if not re.fullmatch(r"\x1b\[[0-9;]*m", part):
            text = re.sub(r"\x1b(?:\[[0-9;?]*[A-Za-z]|[=>])|[\x00-\x08\x0b-\x1f]", "", part)
            if text:
                yield text, dict(style)
            continue
        codes = [int(c or 0) for c in part[2:-1].split(";")]
        for code in codes:
            if code == 0:
                style.clear()
            elif code == 1:
                style["bold"] = True
            elif code == 2:
                style["dim"] = True
            elif code == 22:
                style.pop("bold", None), style.pop("dim", None)
            elif code == 39:
                style.pop("colour", None)
            elif code in COLOURS:
                style["colour"] = COLOURS[code]


def draw(lines: list[str], title: str) -> str:
    width = COLUMNS * CELL_W + 2 * PAD
    height = (len(lines) + 1) * CELL_H + 2 * PAD
    rows, style = [], {}
    for number, line in enumerate(lines, start=2):
        column, cells = 0, []
        for text, look in spans(line, style):
            attributes = f' fill="{look.get("colour", "#e6edf3")}"'
            attributes += ' font-weight="bold"' if look.get("bold") else ""
            attributes += ' opacity="0.65"' if look.get("dim") else ""
            x = PAD + column * CELL_W
            cells.append(f'<tspan x="{x:.1f}"{attributes}>{html.escape(text)}</tspan>')
            column += len(text)
        rows.append(f'<text y="{PAD + (number - 0.3) * CELL_H:.1f}" xml:space="preserve">{"".join(cells)}</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
        f'font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, DejaVu Sans Mono, monospace" font-size="14">\n'
        f'<rect width="100%" height="100%" rx="8" fill="#0d1117"/>\n'
        f'<text x="{PAD}" y="{PAD + 0.7 * CELL_H:.1f}" fill="#8b949e">$ {html.escape(title)}</text>\n' + "\n".join(rows) + "\n</svg>\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("picture")
    parser.add_argument("--lines", default="1:", help="which lines of the output, from 1: FIRST:LAST")
    parser.add_argument("--title", help="the command line to show; by default the one that ran")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    first, _, last = options.lines.partition(":")
    lines = printed(options.command).rstrip("\n").split("\n")[int(first or 1) - 1 : int(last) if last else None]
    with open(options.picture, "w", encoding="utf-8") as file:
        file.write(draw(lines, options.title or " ".join(options.command)))


if __name__ == "__main__":
    main()
