"""The recording in the README: a chat with the demo model in a real terminal, as one animated SVG.

    pip install pyte; python3 tools/record.py [PHI] [OUT.svg]

Starts phi on a pseudo-terminal, types like a person, and lets pyte (a terminal emulator, from PyPI) say what the screen shows. Each
stretch of time in which a row stays the same becomes one <text>, shown for that time; nothing is drawn that was not on the screen.
Pauses in which nothing happens are cut to a second, and the answers come as fast as they came.
"""
import html, os, pty, select, struct, sys, tempfile, time, fcntl, termios
import pyte

COLUMNS, ROWS = 76, 20
CHAR_WIDTH, LINE_HEIGHT, MARGIN = 8.4, 18, 14
BOLD = ' font-weight="bold"'
KEY_SECONDS, LONGEST_PAUSE, LAST_PAUSE = 0.05, 1.0, 4.0
COLORS = {"default": "#d8dee9", "black": "#4c566a", "red": "#e06c75", "green": "#98c379", "brown": "#e5c07b", "blue": "#61afef",
          "magenta": "#c678dd", "cyan": "#56b6c2", "white": "#ffffff"}
TALK = ["Hello! Who are you?\r", "I have a duck called Jack.\r", "What is my duck called?\r", "/undo 2\r", "What is the capital of Peru?\r",
        "Tell me a story.\r", "/stats\r", "\x04"]


def start(program):
    pid, fd = pty.fork()
    if pid == 0:
        home = tempfile.mkdtemp()
        env = {"PATH": os.environ["PATH"], "HOME": home, "TERM": "xterm-256color", "LANG": "C.UTF-8"}
        os.execve(program, [program, "chat", "-m", "models/demo.gguf", "--temp", "0", "-n", "90", "--no-history"], env)
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    return pid, fd


def row_of(screen, y):
    """A row as runs of one colour: ((colour, bold, text), ..), without blanks at its end."""
    runs, line = [], screen.buffer[y]
    for x in range(COLUMNS):
        cell = line[x]
        style = (cell.fg, cell.bold)
        if runs and runs[-1][0] == style:
            runs[-1][1] += cell.data
        else:
            runs.append([style, cell.data])
    while runs and not runs[-1][1].strip():
        runs.pop()
    if runs:
        runs[-1][1] = runs[-1][1].rstrip()
    return tuple((*style, text) for style, text in runs)


class Recorder:
    def __init__(self, fd):
        self.fd, self.screen = fd, pyte.Screen(COLUMNS, ROWS)
        self.stream = pyte.ByteStream(self.screen)
        self.shown = {}     # y -> (row, since when)
        self.pieces = []    # (y, row, from, to)
        self.now, self.last = 0.0, time.monotonic()
        self.open = True

    def read(self, seconds):
        """Follow the screen until nothing has come for that long."""
        while self.open and select.select([self.fd], [], [], seconds)[0]:
            try:
                data = os.read(self.fd, 4096)
            except OSError:
                data = b""
            self.open = bool(data)
            self.stream.feed(data)
            self.look()

    def look(self):
        at = time.monotonic()
        self.now += min(at - self.last, LONGEST_PAUSE)
        self.last = at
        for y in range(ROWS):
            row = row_of(self.screen, y)
            old, since = self.shown.get(y, ((), 0.0))
            if row != old:
                if old and self.now > since:
                    self.pieces.append((y, old, since, self.now))
                self.shown[y] = (row, self.now)

    def type(self, text):
        for key in text:
            os.write(self.fd, key.encode())
            self.read(KEY_SECONDS)

    def finish(self):
        end = self.now + LAST_PAUSE
        for y, (row, since) in self.shown.items():
            if row:
                self.pieces.append((y, row, since, end))
        return self.pieces, end


def draw(pieces, end):
    width, height = COLUMNS * CHAR_WIDTH + 2 * MARGIN, ROWS * LINE_HEIGHT + 2 * MARGIN
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height}" viewBox="0 0 {width:.0f} {height}" '
           'font-family="ui-monospace,Menlo,Consolas,monospace" font-size="14" xml:space="preserve">',
           '<title>A chat with the demo model in a terminal</title>',
           f'<rect width="100%" height="100%" rx="8" fill="#1e222a"/>']
    for y, row, begin, stop in sorted(pieces):
        times = f"0;{begin / end:.4f};{stop / end:.4f}" if begin > 0 else f"0;{stop / end:.4f}"
        values = "0;1;0" if begin > 0 else "1;0"
        spans = "".join('<tspan fill="%s"%s>%s</tspan>' % (COLORS.get(color, "#" + color), BOLD if bold else "", html.escape(text))
                        for color, bold, text in row)
        out.append(f'<text x="{MARGIN}" y="{MARGIN + LINE_HEIGHT * (y + 0.75):.1f}" opacity="0">{spans}<animate attributeName="opacity" '
                   f'calcMode="discrete" values="{values}" keyTimes="{times}" dur="{end:.2f}s" repeatCount="indefinite"/></text>')
    return "\n".join(out + ["</svg>"]) + "\n"


def main():
    program = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else "./phi")
    out = sys.argv[2] if len(sys.argv) > 2 else "tools/chat.svg"
    pid, fd = start(program)
    recorder = Recorder(fd)
    recorder.read(1.0)
    for line in TALK:
        recorder.type(line)
        recorder.read(1.2)
    recorder.read(0.5)
    os.waitpid(pid, 0)
    with open(out, "w") as f:
        f.write(draw(*recorder.finish()))


if __name__ == "__main__":
    main()
