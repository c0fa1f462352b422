/* Keys from bytes: what terminals send for arrows, Alt and pastes. */
#ifndef PHI_CLI_EDIT_KEYS_H
#define PHI_CLI_EDIT_KEYS_H

#include <stddef.h>

enum cli_key { /* below 256: the byte itself; above 0x80 it begins a character, whose other bytes follow as keys */
               CLI_KEY_UP = 256,
               CLI_KEY_DOWN,
               CLI_KEY_LEFT,
               CLI_KEY_RIGHT,
               CLI_KEY_HOME,
               CLI_KEY_END,
               CLI_KEY_DELETE,
               CLI_KEY_WORD_LEFT,
               CLI_KEY_WORD_RIGHT,
               CLI_KEY_ERASE_WORD, /* the one before */
               CLI_KEY_ERASE_NEXT_WORD,
               CLI_KEY_NEWLINE,
               CLI_KEY_PASTE, /* the bytes of cli_keys_paste() follow */
               CLI_KEY_NONE,  /* a sequence that means nothing here */
               CLI_KEY_RESIZED,
               CLI_KEY_SIGNAL, /* see cli_interrupted() */
               CLI_KEY_EOF     /* the terminal is gone */
};

struct cli_keys {
    unsigned char byte[4096];
    size_t at, n;          /* read and not used yet: keys typed ahead stay here */
    unsigned char back[8]; /* taken back: these come first, the last one first */
    size_t n_back;
};

/* Wait for a key. */
int cli_keys_next(struct cli_keys *k);
/* The next byte of a paste; -1 at its end; CLI_KEY_SIGNAL, CLI_KEY_EOF. */
int cli_keys_paste(struct cli_keys *k);

#endif
