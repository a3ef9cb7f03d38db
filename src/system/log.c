/* SPDX-License-Identifier: MIT */
/*
 * Messages for people: one bounded line on stderr each, written by one write(2).
 *
 * Nothing here waits. A pipe that nobody empties, or a journal that stands still, would else stop
 * the main loop, and with it the batteries and the web server, for the sake of a message. A line
 * that cannot be written at once is dropped and counted, and the next one that can says how many.
 *
 * The settings are global, the only ones in the program: GLib's messages come here through one
 * process-wide function, and every part may log without being handed something to log with. They
 * are set once, before any thread is started; GDBus's thread may log.
 */
#include "log.h"

#include "terminal.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

/** One line with its newline. Less than PIPE_BUF, so that a pipe takes it whole or not at all. */
#define LINE_BYTES 1024
#define ELLIPSIS   "…"

static struct {
    LogLevel level;
    gboolean journal;
    gboolean glib_taken; /**< g_log_set_writer_func() may be called only once */
    gint dropped;        /**< lines that could not be written; atomic */
} settings = {.level = LOG_LEVEL_INFO};

static const struct {
    const char *name;
    const char *journal; /**< syslog(3) priority, see sd-daemon(3) */
    const char *terminal;
} levels[] = {
    [LOG_LEVEL_DEBUG] = {"debug", "<7>", "bms-exporter: debug: "},
    [LOG_LEVEL_INFO] = {"info", "<6>", "bms-exporter: "},
    [LOG_LEVEL_WARN] = {"warn", "<4>", "bms-exporter: warning: "},
    [LOG_LEVEL_ERROR] = {"error", "<3>", "bms-exporter: error: "},
};

gboolean log_level_parse(const char *name, LogLevel *level)
{
    for (guint i = 0; i < G_N_ELEMENTS(levels); i++) {
        if (strcmp(levels[i].name, name) == 0) {
            *level = (LogLevel)i;
            return TRUE;
        }
    }
    return FALSE;
}

gboolean log_shows(LogLevel level)
{
    return level >= settings.level;
}

/** Copies @a text with what is not to be shown as \xHH. @return what was written to @a out */
static size_t make_visible(const char *text, char *out, size_t size)
{
    const size_t room_to_end = sizeof ELLIPSIS - 1;
    size_t used = 0;

    while (*text != '\0') {
        gunichar character = g_utf8_get_char_validated(text, -1);
        gboolean valid = character < (gunichar)-2;
        guint bytes = valid ? (guint)g_utf8_skip[(guchar)*text] : 1;
        gboolean escape = !valid || terminal_is_harmful(character);

        if (used + (escape ? 4 * bytes : bytes) + room_to_end > size) {
            memcpy(out + used, ELLIPSIS, room_to_end);
            return used + room_to_end;
        }
        for (size_t i = 0; i < bytes; i++) {
            if (escape)
                used += (size_t)g_snprintf(out + used, 5, "\\x%02x", (guchar)text[i]);
            else
                out[used++] = text[i];
        }
        text += bytes;
    }
    return used;
}

/** @return FALSE if it could not be written without waiting */
static gboolean write_line(LogLevel level, const char *text)
{
    char line[LINE_BYTES];
    size_t used = g_strlcpy(line, settings.journal ? levels[level].journal : levels[level].terminal,
                            sizeof line);
    struct pollfd out = {.fd = STDERR_FILENO, .events = POLLOUT};

    used += make_visible(text, line + used, sizeof line - used - 1);
    line[used++] = '\n';
    /* A pipe whose reader has gone is "ready" too, with an error: writing would raise SIGPIPE. */
    if (poll(&out, 1, 0) != 1 || out.revents != POLLOUT)
        return FALSE;
    return write(STDERR_FILENO, line, used) == (ssize_t)used;
}

static void write_message(LogLevel level, const char *text)
{
    gint dropped = g_atomic_int_get(&settings.dropped);

    if (dropped > 0 && g_atomic_int_compare_and_exchange(&settings.dropped, dropped, 0)) {
        g_autofree char *note = g_strdup_printf("%d lines of this log were lost", dropped);

        if (!write_line(LOG_LEVEL_WARN, note))
            g_atomic_int_add(&settings.dropped, dropped);
    }
    if (!write_line(level, text))
        g_atomic_int_inc(&settings.dropped);
}

G_GNUC_PRINTF(2, 0) static void log_message(LogLevel level, const char *format, va_list arguments)
{
    int saved = errno; /* a message must not change what the caller looks at next */
    g_autofree char *text = NULL;

    if (!log_shows(level))
        return;
    text = g_strdup_vprintf(format, arguments);
    write_message(level, text != NULL ? text : format);
    errno = saved;
}

/** GLogWriterFunc: GLib's own messages and those of its libraries. Aborting is left to GLib. */
static GLogWriterOutput write_glib_message(GLogLevelFlags flags, const GLogField *fields,
                                           gsize count, gpointer user)
{
    const char *message = "", *domain = NULL;
    LogLevel level = LOG_LEVEL_INFO;
    g_autofree char *text = NULL;

    (void)user;
    for (gsize i = 0; i < count; i++) {
        if (fields[i].length >= 0)
            continue; /* not a NUL-terminated string */
        if (strcmp(fields[i].key, "MESSAGE") == 0)
            message = fields[i].value;
        else if (strcmp(fields[i].key, "GLIB_DOMAIN") == 0)
            domain = fields[i].value;
    }
    /* GLib talks to itself at these levels unless G_MESSAGES_DEBUG asks for it. */
    if (g_log_writer_default_would_drop(flags, domain))
        return G_LOG_WRITER_HANDLED;
    if (flags & (G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL))
        level = LOG_LEVEL_ERROR;
    else if (flags & G_LOG_LEVEL_WARNING)
        level = LOG_LEVEL_WARN;
    else if (flags & G_LOG_LEVEL_DEBUG)
        level = LOG_LEVEL_DEBUG;
    if (!log_shows(level))
        return G_LOG_WRITER_HANDLED;
    text = g_strdup_printf("%s%s%s", domain != NULL ? domain : "", domain != NULL ? ": " : "",
                           message);
    write_message(level, text);
    return G_LOG_WRITER_HANDLED;
}

void log_set_level(LogLevel level)
{
    settings.level = level;
}

void log_init(LogLevel level, gboolean journal)
{
    settings.level = level;
    settings.journal = journal;
    if (!settings.glib_taken)
        g_log_set_writer_func(write_glib_message, NULL, NULL);
    settings.glib_taken = TRUE;
}

void log_debug(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    log_message(LOG_LEVEL_DEBUG, format, arguments);
    va_end(arguments);
}

void log_info(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    log_message(LOG_LEVEL_INFO, format, arguments);
    va_end(arguments);
}

void log_warn(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    log_message(LOG_LEVEL_WARN, format, arguments);
    va_end(arguments);
}

void log_error(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    log_message(LOG_LEVEL_ERROR, format, arguments);
    va_end(arguments);
}
