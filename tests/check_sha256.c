/* SHA-256 of texts whose hashes FIPS 180-4 and its test vectors state; every way of cutting a text gives the same. */
#include "../src/sha256.h"
#include "check.h"

static void hash(const char *text, size_t n, size_t step, char hex[65]) {
    struct phi_sha256 h;
    phi_sha256_begin(&h);
    for (size_t at = 0; at < n; at += step) phi_sha256_add(&h, text + at, n - at < step ? n - at : step);
    phi_sha256_end(&h, hex);
}

static void check(const char *text, const char *want) {
    size_t n = strlen(text);
    char hex[65];
    for (size_t step = 1; step <= n + 1; step += n / 150 + 1) {
        hash(text, n, step, hex);
        CHECK(strcmp(hex, want) == 0, "%zu bytes by %zu: %s", n, step, hex);
    }
}

int main(void) {
    static char million[1000001];
    memset(million, 'a', 1000000);
    check("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    check("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    check("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
          "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    check("abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
          "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1");
    check(million, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    return check_done("check_sha256");
}
