/* SPDX-License-Identifier: MIT */
/* Reads the file with the batteries' passwords. No message quotes what stands in it. */
#include "passwords.h"

#include "bluez.h"
#include "jbd.h"
#include "log.h"
#include "system.h"

#include <string.h>
#include <sys/stat.h>

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

static gboolean parse(Passwords *passwords, const char *path, char *text, GError **error)
{
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
            return FALSE;
        }
    }
    return TRUE;
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
    mode_t mode = 0;
    char *text;

    path = path ? path : credential;
    if (!path)
        return g_malloc0(sizeof *passwords);
    text = g_malloc0(SYSTEM_MAX_FILE + 1);
    if (!system_read_file(path, text, &mode, error)) {
        g_prefix_error(error, "the password file ");
    } else {
        passwords = g_malloc0(sizeof *passwords + count_lines(text) * sizeof passwords->list[0]);
        if (!parse(passwords, path, text, error))
            g_clear_pointer(&passwords, passwords_free);
    }
    if (passwords && mode & S_IROTH)
        log_warn("everybody can read the passwords in %s; chmod o= would mend that", path);
    explicit_bzero(text, SYSTEM_MAX_FILE + 1);
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
