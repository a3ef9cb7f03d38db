-- SPDX-License-Identifier: MIT
-- Has wrk say what it has measured as JSON, on its last line.
function done(summary, latency)
    io.write(string.format(
        '{"requests": %d, "us": %d, "p50_us": %g, "p99_us": %g, "errors": %d}\n',
        summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
        summary.errors.connect + summary.errors.read + summary.errors.write +
            summary.errors.status + summary.errors.timeout))
end
