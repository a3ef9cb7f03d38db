/* SPDX-License-Identifier: MIT */
/*
 * The service manager's protocols against a stand-in: a socket that is notified, descriptors that
 * are handed over, and the environment.
 */
#include "log.h"
#include "system.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* ---- notify ---- */

/** @return a socket as the service manager has it; sets NOTIFY_SOCKET to @a path, '@' = abstract */
static int listen_for_notifications(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    size_t length = strlen(path);

    g_assert_cmpuint(length, <, sizeof address.sun_path);
    memcpy(address.sun_path, path, length);
    if (path[0] == '@')
        address.sun_path[0] = '\0';
    g_assert_no_errno(bind(fd, (struct sockaddr *)&address,
                           (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)));
    g_setenv("NOTIFY_SOCKET", path, TRUE);
    return fd;
}

static void expect_notification(int fd, const char *state)
{
    char buffer[256] = "";
    ssize_t size = recv(fd, buffer, sizeof buffer - 1, 0);

    if (state == NULL) {
        g_assert_cmpint(size, ==, -1);
        return;
    }
    g_assert_cmpint(size, ==, (ssize_t)strlen(state));
    g_assert_cmpstr(buffer, ==, state);
}

/** @return the descriptor that would be opened next: it moves up if one is left open */
static int next_descriptor(void)
{
    int fd = dup(STDERR_FILENO);

    close(fd);
    return fd; // cppcheck-suppress deallocret ; only its number is of interest
}

static void check_notifications(const char *path)
{
    int fd = listen_for_notifications(path);
    int next = next_descriptor();

    system_notify("READY=1");
    system_notify("STATUS=2 of 3 batteries\nWATCHDOG=1");
    expect_notification(fd, "READY=1");
    expect_notification(fd, "STATUS=2 of 3 batteries\nWATCHDOG=1");
    expect_notification(fd, NULL);
    g_assert_cmpint(next_descriptor(), ==, next);
    close(fd);
    system_notify("READY=1"); /* nobody there any more: a warning */
    g_unsetenv("NOTIFY_SOCKET");
}

static void test_notify_path(void)
{
    g_autofree char *directory = g_dir_make_tmp("bms-system-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(directory, "notify", NULL);

    check_notifications(path);
    g_unlink(path);
    g_rmdir(directory);
}

static void test_notify_abstract(void)
{
    g_autofree char *path = g_strdup_printf("@bms-exporter-test-%d", (int)getpid());

    check_notifications(path);
}

/** A manager that does not read must not stop the process. Without that, this never ends. */
static void test_notify_full(void)
{
    g_autofree char *path = g_strdup_printf("@bms-exporter-test-%d", (int)getpid());
    int fd = listen_for_notifications(path);

    for (int i = 0; i < 2000; i++)
        system_notify("WATCHDOG=1");
    expect_notification(fd, "WATCHDOG=1");
    close(fd);
    g_unsetenv("NOTIFY_SOCKET");
}

static void test_notify_nowhere(void)
{
    g_autofree char *long_path = g_strnfill(200, '/');
    const char *const bad[] = {"", "relative", "@", "/", "vsock:2:1234", long_path};
    int next = next_descriptor();

    g_unsetenv("NOTIFY_SOCKET");
    system_notify("READY=1");
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_setenv("NOTIFY_SOCKET", bad[i], TRUE);
        system_notify("READY=1");
    }
    g_unsetenv("NOTIFY_SOCKET");
    g_assert_cmpint(next_descriptor(), ==, next);
}

/* ---- socket activation ---- */

static void set_listen(const char *pid, const char *count)
{
    g_autofree char *own = g_strdup_printf("%d", (int)getpid());

    g_setenv("LISTEN_PID", pid != NULL ? pid : own, TRUE);
    g_setenv("LISTEN_FDS", count, TRUE);
    g_setenv("LISTEN_FDNAMES", "a:b", TRUE);
}

static guint listen_fds(void)
{
    guint count = system_listen_fds();

    g_assert_null(g_getenv("LISTEN_PID"));
    g_assert_null(g_getenv("LISTEN_FDS"));
    g_assert_null(g_getenv("LISTEN_FDNAMES"));
    return count;
}

static void test_listen_fds(void)
{
    if (!g_test_subprocess()) {
        g_test_trap_subprocess(NULL, 0, G_TEST_SUBPROCESS_INHERIT_STDERR);
        g_test_trap_assert_passed();
        return;
    }
    /* In a process of its own, because descriptors 3 to 5 are whatever they are here. */
    for (int fd = 3; fd <= 4; fd++) {
        g_assert_cmpint(dup2(STDIN_FILENO, fd), ==, fd);
        g_assert_cmpint(fcntl(fd, F_GETFD) & FD_CLOEXEC, ==, 0);
    }
    close(5);
    set_listen(NULL, "2");
    g_assert_cmpuint(listen_fds(), ==, 2);
    for (int fd = 3; fd <= 4; fd++)
        g_assert_cmpint(fcntl(fd, F_GETFD) & FD_CLOEXEC, !=, 0);
    g_assert_cmpuint(listen_fds(), ==, 0); /* once only */

    set_listen(NULL, "3"); /* more than there are */
    g_assert_cmpuint(listen_fds(), ==, 2);
}

static void test_listen_fds_not_ours(void)
{
    static const char *const counts[] = {"0", "", "-1", "2x", "99999999999999999999", "100000"};

    g_assert_cmpuint(listen_fds(), ==, 0);
    set_listen("1", "1");
    g_assert_cmpuint(listen_fds(), ==, 0);
    set_listen("no number", "1");
    g_assert_cmpuint(listen_fds(), ==, 0);
    set_listen(NULL, "1");
    g_unsetenv("LISTEN_FDS");
    g_assert_cmpuint(listen_fds(), ==, 0);
    set_listen(NULL, "1");
    g_unsetenv("LISTEN_PID");
    g_assert_cmpuint(listen_fds(), ==, 0);
    for (guint i = 0; i < G_N_ELEMENTS(counts); i++) {
        set_listen(NULL, counts[i]);
        g_assert_cmpuint(listen_fds(), ==, 0);
    }
}

/* ---- watchdog and journal ---- */

static void test_watchdog(void)
{
    static const struct {
        const char *us;
        gint64 expected;
    } cases[] = {{"30000000", 30000000},      {"0", 0}, {"", 0}, {"-5", 0}, {"1s", 0},
                 {"18446744073709551615", 0}, {NULL, 0}};
    g_autofree char *own = g_strdup_printf("%d", (int)getpid());

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_unsetenv("WATCHDOG_PID");
        if (cases[i].us != NULL)
            g_setenv("WATCHDOG_USEC", cases[i].us, TRUE);
        else
            g_unsetenv("WATCHDOG_USEC");
        g_assert_cmpint(system_watchdog_us(), ==, cases[i].expected);
        g_setenv("WATCHDOG_PID", own, TRUE);
        g_assert_cmpint(system_watchdog_us(), ==, cases[i].expected);
        g_setenv("WATCHDOG_PID", "1", TRUE);
        g_assert_cmpint(system_watchdog_us(), ==, 0);
    }
    g_unsetenv("WATCHDOG_PID");
}

static void test_journal(void)
{
    struct stat here;
    g_autofree char *right = NULL, *wrong = NULL;

    g_assert_no_errno(fstat(STDERR_FILENO, &here));
    right = g_strdup_printf("%lu:%lu", (gulong)here.st_dev, (gulong)here.st_ino);
    wrong = g_strdup_printf("%lu:%lu", (gulong)here.st_dev, (gulong)here.st_ino + 1);

    g_unsetenv("JOURNAL_STREAM");
    g_assert_false(system_stderr_is_journal());
    g_setenv("JOURNAL_STREAM", right, TRUE);
    g_assert_true(system_stderr_is_journal());
    g_setenv("JOURNAL_STREAM", wrong, TRUE); /* inherited, and stderr has been redirected since */
    g_assert_false(system_stderr_is_journal());
    g_setenv("JOURNAL_STREAM", "nonsense", TRUE);
    g_assert_false(system_stderr_is_journal());
    g_unsetenv("JOURNAL_STREAM");
}

/* ---- rfkill ---- */

static void write_value(const char *directory, const char *name, const char *value)
{
    g_autofree char *path = g_build_filename(directory, name, NULL);

    g_assert_true(g_file_set_contents(path, value, -1, NULL));
}

/** Adds a switch as sysfs shows it. */
static void add_switch(const char *directory, const char *entry, const char *const values[4])
{
    static const char *const names[] = {"type", "name", "soft", "hard"};
    g_autofree char *path = g_build_filename(directory, entry, NULL);

    g_assert_cmpint(g_mkdir(path, 0700), ==, 0);
    for (int i = 0; i < 4; i++)
        write_value(path, names[i], values[i]);
}

static void remove_tree(const char *directory)
{
    g_autoptr(GDir) dir = g_dir_open(directory, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir)) != NULL) {
        g_autofree char *path = g_build_filename(directory, name, NULL);

        if (g_file_test(path, G_FILE_TEST_IS_DIR))
            remove_tree(path);
        else
            g_unlink(path);
    }
    g_rmdir(directory);
}

static void test_rfkill(void)
{
    g_autofree char *directory = g_dir_make_tmp("bms-rfkill-XXXXXX", NULL);

    g_assert_cmpint(system_rfkill("/nonexistent", "hci0"), ==, SYSTEM_RFKILL_UNKNOWN);
    g_assert_cmpint(system_rfkill(directory, "hci0"), ==, SYSTEM_RFKILL_UNKNOWN);
    add_switch(directory, "rfkill0", (const char *const[]){"wlan\n", "phy0\n", "1\n", "1\n"});
    g_assert_cmpint(system_rfkill(directory, "hci0"), ==, SYSTEM_RFKILL_UNKNOWN);
    add_switch(directory, "rfkill1", (const char *const[]){"bluetooth\n", "hci0\n", "0\n", "0\n"});
    add_switch(directory, "rfkill2", (const char *const[]){"bluetooth\n", "hci1\n", "1\n", "0\n"});
    g_assert_cmpint(system_rfkill(directory, "hci0"), ==, SYSTEM_RFKILL_FREE);
    g_assert_cmpint(system_rfkill(directory, "hci1"), ==, SYSTEM_RFKILL_SOFT);
    g_assert_cmpint(system_rfkill(directory, NULL), ==, SYSTEM_RFKILL_SOFT);
    /* The machine's own switch cuts off all of them. */
    add_switch(directory, "rfkill3",
               (const char *const[]){"bluetooth\n", "tpacpi_bluetooth_sw\n", "0\n", "1\n"});
    g_assert_cmpint(system_rfkill(directory, "hci0"), ==, SYSTEM_RFKILL_HARD);
    remove_tree(directory);
}

/* ---- clocks ---- */

static void test_follow_clock(void)
{
    const gint64 boot = G_GINT64_CONSTANT(1700000000123456);
    const gint64 half = G_USEC_PER_SEC / 2;
    const gint64 year = 365 * 86400 * G_TIME_SPAN_SECOND;
    gint64 known = boot;

    /* Readings jitter, and what is shown does not. */
    g_assert_cmpint(system_follow_clock(boot, boot), ==, boot);
    g_assert_cmpint(system_follow_clock(boot, boot + 1), ==, boot);
    g_assert_cmpint(system_follow_clock(boot, boot + half), ==, boot);
    g_assert_cmpint(system_follow_clock(boot, boot - half), ==, boot);
    g_assert_cmpint(system_follow_clock(boot, boot + half + 1), ==, boot + half + 1);
    g_assert_cmpint(system_follow_clock(boot, boot - half - 1), ==, boot - half - 1);
    g_assert_cmpint(system_follow_clock(boot, boot + year), ==, boot + year);
    g_assert_cmpint(system_follow_clock(boot, 60), ==, 60);
    /* Small steps add up. */
    for (int i = 1; i <= 1000; i++)
        known = system_follow_clock(known, boot + i * G_TIME_SPAN_MILLISECOND);
    g_assert_cmpint(known, >=, boot + half);
}

static void test_boot_unix(void)
{
    const gint64 before = g_get_real_time();
    const gint64 now = system_boot_unix_us() + system_boot_us();

    g_assert_cmpint(now, >=, before - G_USEC_PER_SEC / 2);
    g_assert_cmpint(now, <=, g_get_real_time() + G_USEC_PER_SEC / 2);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    log_init(LOG_LEVEL_ERROR, FALSE); /* warnings are many here, and meant */
    g_test_add_func("/system/notify/path", test_notify_path);
    g_test_add_func("/system/notify/abstract", test_notify_abstract);
    g_test_add_func("/system/notify/full", test_notify_full);
    g_test_add_func("/system/notify/nowhere", test_notify_nowhere);
    g_test_add_func("/system/listen-fds", test_listen_fds);
    g_test_add_func("/system/listen-fds/not-ours", test_listen_fds_not_ours);
    g_test_add_func("/system/watchdog", test_watchdog);
    g_test_add_func("/system/journal", test_journal);
    g_test_add_func("/system/clock/follow", test_follow_clock);
    g_test_add_func("/system/clock/boot", test_boot_unix);
    g_test_add_func("/system/rfkill", test_rfkill);
    return g_test_run();
}
