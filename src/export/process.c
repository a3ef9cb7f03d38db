/* SPDX-License-Identifier: MIT */
/*
 * The standard process metrics.
 * https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics
 *
 * Only /proc/self is read: systemd's ProcSubset=pid hides /proc/stat, which holds the boot time, so
 * the start time comes from the clock.
 */
#include "family.h"

#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* Fields of /proc/self/stat that are used, counted as proc(5) does. */
enum {
    STAT_STATE = 3, /**< the first field after the command's name */
    STAT_THREADS = 20,
    STAT_VIRTUAL_BYTES = 23,
    STAT_RESIDENT_PAGES = 24,
};

/** Reads a small file of /proc, where one read() brings all. @return FALSE if it cannot be had */
static gboolean read_small(const char *path, char *text, size_t size)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return FALSE;
    const ssize_t length = read(fd, text, size - 1);
    close(fd);
    if (length <= 0)
        return FALSE;
    text[length] = '\0';
    return TRUE;
}

/** @return −1 if it cannot be had */
static int64_t stat_field(const char *text, int field)
{
    /* The command's name is in parentheses, and may hold spaces and parentheses itself. */
    const char *p = strrchr(text, ')');
    for (int i = STAT_STATE; p && i <= field; i++)
        p = strchr(p + 1, ' ');
    return p ? g_ascii_strtoll(p, NULL, 10) : -1;
}

void process_read_stat(ProcessStat *stat)
{
    char text[1024] = "";

    (void)read_small("/proc/self/stat", text, sizeof text);
    stat->threads = stat_field(text, STAT_THREADS);
    stat->virtual_bytes = stat_field(text, STAT_VIRTUAL_BYTES);
    stat->resident_pages = stat_field(text, STAT_RESIDENT_PAGES);
}

static void emit_if_known(Sink *sink, int64_t value, int64_t unit)
{
    if (value >= 0)
        sink_integer(sink, NO_LABEL, value * unit);
}

static void cpu(Sink *sink)
{
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0)
        return;

    const gint64 seconds = (gint64)usage.ru_utime.tv_sec + usage.ru_stime.tv_sec;
    const gint64 micros = (gint64)usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
    sink_decimal(sink, NO_LABEL, seconds * G_USEC_PER_SEC + micros, 6);
}

static void resident_memory(Sink *sink)
{
    emit_if_known(sink, sink->process->resident_pages, sysconf(_SC_PAGESIZE));
}

static void virtual_memory(Sink *sink)
{
    emit_if_known(sink, sink->process->virtual_bytes, 1);
}

static void threads(Sink *sink)
{
    emit_if_known(sink, sink->process->threads, 1);
}

/** @return −1 if they cannot be listed */
static int64_t count_fds(void)
{
    g_autoptr(GDir) dir = g_dir_open("/proc/self/fd", 0, NULL);
    int64_t n = -1; /* the directory itself */

    while (dir && g_dir_read_name(dir))
        n++;
    return n;
}

static void open_fds(Sink *sink)
{
    struct stat status;

    /* Linux tells their number as the size of the directory from 6.2 on. */
    if (stat("/proc/self/fd", &status) == 0 && status.st_size > 0)
        sink_integer(sink, NO_LABEL, status.st_size);
    else
        emit_if_known(sink, count_fds(), 1);
}

static void max_fds(Sink *sink)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
        sink_integer(sink, NO_LABEL, (gint64)limit.rlim_cur);
}

static void start_time(Sink *sink)
{
    sink_moment(sink, NO_LABEL, sink->view->started_us);
}

#define PROCESS(name_, type_, unit_, emit_, help_)                                                 \
    {                                                                                              \
        .name = (name_), .type = (type_), .unit = (unit_), .emit_once = (emit_), .help = (help_)   \
    }

static const Family families[] = {
    PROCESS("process_cpu_seconds", FAMILY_COUNTER, "seconds", cpu,
            "Total user and system CPU time spent in seconds."),
    PROCESS("process_resident_memory_bytes", FAMILY_GAUGE, "bytes", resident_memory,
            "Resident memory size in bytes."),
    PROCESS("process_virtual_memory_bytes", FAMILY_GAUGE, "bytes", virtual_memory,
            "Virtual memory size in bytes."),
    PROCESS("process_open_fds", FAMILY_GAUGE, NULL, open_fds, "Number of open file descriptors."),
    PROCESS("process_max_fds", FAMILY_GAUGE, NULL, max_fds,
            "Maximum number of open file descriptors."),
    PROCESS("process_start_time_seconds", FAMILY_GAUGE, "seconds", start_time,
            "Start time of the process since unix epoch in seconds."),
    PROCESS("process_threads", FAMILY_GAUGE, NULL, threads, "Number of OS threads in the process."),
};

const FamilyTable export_process = {families, G_N_ELEMENTS(families)};
