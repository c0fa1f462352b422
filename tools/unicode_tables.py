#!/usr/bin/env python3
"""Make src/unicode_runs.inc: the classes of all code points that the pre-tokenizers ask for, as runs.

    pip install unicodedata2==16.0.0
    python3 tools/unicode_tables.py > src/unicode_runs.inc

Letters, marks and numbers are general categories (L, M, N). White space is the property White_Space, which the package
does not have; its 25 code points have not changed since Unicode 6.3 and are listed here.
"""
import sys

import unicodedata2

VERSION = "16.0.0"
SPACE = {*range(0x09, 0x0E), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000}
# In the order of enum phi_class in src/unicode.h.
CLASSES = [("Lu", "Lt"), ("Ll",), ("Lm", "Lo"), ("Mn", "Mc", "Me"), ("Nd", "Nl", "No"), ("space",)]
OTHER = len(CLASSES)
INDEX = {category: i for i, categories in enumerate(CLASSES) for category in categories}


def class_of(code):
    return INDEX["space"] if code in SPACE else INDEX.get(unicodedata2.category(chr(code)), OTHER)


def main():
    if unicodedata2.unidata_version != VERSION:
        sys.exit("unicodedata2 has Unicode %s, expected %s" % (unicodedata2.unidata_version, VERSION))
    runs, last = [], None
    for code in range(0x110000):
        c = class_of(code)
        if c != last:
            runs.append("0x%06x" % (code << 3 | c))
        last = c
    print("/* Made by tools/unicode_tables.py from Unicode %s: the first code point of each run << 3 | its class. */" % VERSION)
    for i in range(0, len(runs), 11):
        print(", ".join(runs[i:i + 11]) + ",")


if __name__ == "__main__":
    main()
