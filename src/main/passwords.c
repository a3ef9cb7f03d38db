/* SPDX-License-Identifier: MIT */
/* Reads the file with the batteries' passwords. No message quotes what stands in it. */
#include "passwords.h"

#include "bluez.h"
#include "jbd.h"
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CREDENTIAL "password" /* LoadCredential=password:… */

typedef struct {
    char address[18]; /* "" for all others */
    char password[JBD_PASSWORD_SIZE + 1];
} Password;

struct Passwords {
    guint count;
    Password
        list[]; /* as long as the file has lines; never moved, so that no copy is left behind */
};

/* ---- the file -------------------------------------------------------------------------------- */

static gboolean fail(GError **error, const char *path, const char *what)
{
    g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "the password file %s %s", path, what);
    return FALSE;
}

static gboolean check_file(int fd, const char *path, GError **error)
{
    struct stat status;

    if (fstat(fd, &status) < 0)
        return fail(error, path, g_strerror(errno));
    if (!S_ISREG(status.st_mode))
        return fail(error, path, "is not a regular file");
    if (status.st_mode & S_IROTH)
        log_warn("everybody can read the passwords in %s; chmod o= would mend that", path);
    return TRUE;
}

/* @return how many bytes of @a text are filled, or −1 */
static gssize read_all(int fd, char *text, gsize size)
{
    gsize used = 0;

    while (used < size) {
        ssize_t got = read(fd, text + used, size - used);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        used += (gsize)got;
    }
    return (gssize)used;
}

/* @param text PASSWORDS_MAX_FILE + 1 bytes, in which a NUL ends what was read */
static gboolean read_file(const char *path, char *text, GError **error)
{
    /* A FIFO would wait for its other end, and a terminal become ours. */
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    gboolean good;
    gssize used;

    if (fd < 0) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED,
                    "the password file %s cannot be opened: %s", path, g_strerror(errno));
        return FALSE;
    }
    good = check_file(fd, path, error);
    if (good) {
        used = read_all(fd, text, PASSWORDS_MAX_FILE + 1);
        if (used < 0)
            good = fail(error, path, "cannot be read");
        else if (used > PASSWORDS_MAX_FILE)
            good = fail(error, path, "is longer than 64 KiB");
        else if (memchr(text, '\0', (gsize)used))
            good = fail(error, path, "is not a text");
        else
            text[used] = '\0';
    }
    close(fd);
    return good;
}

/* ---- its lines ------------------------------------------------------------------------------- */

static gboolean is_password(const char *text)
{
    for (const char *c = text; *c; c++)
        if (!g_ascii_isgraph(*c))
            return FALSE;
    return strlen(text) == JBD_PASSWORD_SIZE;
}

/* Cuts the first word off, in place. @return what is behind it */
static char *cut_word(char *text)
{
    char *end = text + strcspn(text, " \t");

    if (*end == '\0')
        return end;
    *end = '\0';
    return g_strchug(end + 1);
}

static const Password *find(const Passwords *passwords, const char *address)
{
    for (guint i = 0; i < passwords->count; i++)
        if (strcmp(passwords->list[i].address, address) == 0)
            return &passwords->list[i];
    return NULL;
}

/* @return NULL, or what is wrong with the line */
static const char *add_line(Passwords *passwords, char *line)
{
    Password *next = &passwords->list[passwords->count];
    char *word = g_strstrip(line);

    if (*word == '\0' || *word == '#')
        return NULL;

    char *behind = cut_word(word);
    const char *password = *behind ? behind : word;

    next->address[0] = '\0';
    if (*behind && !bluez_parse_address(word, next->address))
        return "does not begin with a Bluetooth address";
    if (!is_password(password))
        return "has no password of six characters without blanks";
    if (find(passwords, next->address))
        return "is the second one for the same battery";
    memcpy(next->password, password, sizeof next->password);
    passwords->count++;
    return NULL;
}

static gsize count_lines(const char *text)
{
    gsize count = 1;

    for (; *text; text++)
        count += *text == '\n';
    return count;
}

static Passwords *parse(const char *path, char *text, GError **error)
{
    g_autoptr(Passwords) passwords =
        g_malloc0(sizeof *passwords + count_lines(text) * sizeof passwords->list[0]);
    guint number = 1;

    for (char *line = text, *next; line; line = next, number++) {
        const char *wrong;

        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        wrong = add_line(passwords, line);
        if (wrong) {
            g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "%s: line %u %s", path, number,
                        wrong);
            return NULL;
        }
    }
    return g_steal_pointer(&passwords);
}

/* ---- public ---------------------------------------------------------------------------------- */

static char *credential_path(void)
{
    const char *directory = g_getenv("CREDENTIALS_DIRECTORY");
    g_autofree char *path = directory ? g_build_filename(directory, CREDENTIAL, NULL) : NULL;

    return path && g_file_test(path, G_FILE_TEST_EXISTS) ? g_steal_pointer(&path) : NULL;
}

Passwords *passwords_read(const char *path, GError **error)
{
    g_autofree char *credential = path ? NULL : credential_path();
    Passwords *passwords = NULL;
    char *text;

    path = path ? path : credential;
    if (!path)
        return g_malloc0(sizeof *passwords);
    text = g_malloc0(PASSWORDS_MAX_FILE + 1);
    if (read_file(path, text, error))
        passwords = parse(path, text, error);
    explicit_bzero(text, PASSWORDS_MAX_FILE + 1);
    g_free(text);
    return passwords;
}

void passwords_free(Passwords *passwords)
{
    if (!passwords)
        return;
    for (guint i = 0; i < passwords->count; i++)
        explicit_bzero(passwords->list[i].password, sizeof passwords->list[i].password);
    g_free(passwords);
}

const char *passwords_find(const Passwords *passwords, const char *address)
{
    const Password *own = find(passwords, address);
    const Password *common = own ? own : find(passwords, "");

    return common ? common->password : NULL;
}
