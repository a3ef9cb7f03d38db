/* SPDX-License-Identifier: MIT */
/*
 * From a request to its answer: which route, which method, and the answer's headers.
 */
#include "log.h"
#include "web-private.h"

#include <string.h>

#define PLAIN_TEXT "text/plain; charset=utf-8"

static const WebRoute *find_route(const Web *web, const char *path)
{
    for (const WebRoute *route = web->routes; route->path != NULL; route++) {
        if (strcmp(route->path, path) == 0)
            return route;
    }
    return NULL;
}

static void answer_not_found(const Web *web, WebAnswer *answer)
{
    answer->status = MHD_HTTP_NOT_FOUND;
    g_string_append(answer->body, "Not found. This server has:\n");
    for (const WebRoute *route = web->routes; route->path != NULL; route++)
        g_string_append_printf(answer->body, "%s\n", route->path);
}

static void answer_wrong_method(WebAnswer *answer)
{
    answer->status = MHD_HTTP_METHOD_NOT_ALLOWED;
    g_string_append(answer->body, "Only GET and HEAD are answered here.\n");
}

static void free_body(void *body)
{
    g_string_free(body, TRUE);
}

/** Hands the answer over without copying it. Takes ownership of the body. */
static enum MHD_Result send_answer(struct MHD_Connection *handle, const WebAnswer *answer)
{
    struct MHD_Response *response = MHD_create_response_from_buffer_with_free_callback_cls(
        answer->body->len, answer->body->str, free_body, answer->body);
    enum MHD_Result sent = MHD_NO;

    if (response == NULL) {
        g_string_free(answer->body, TRUE);
        return MHD_NO; /* out of memory: closes the connection */
    }
    if (MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, answer->content_type) &&
        MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store") &&
        MHD_add_response_header(response, "X-Content-Type-Options", "nosniff") &&
        (answer->status != MHD_HTTP_METHOD_NOT_ALLOWED ||
         MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD")))
        sent = MHD_queue_response(handle, answer->status, response);
    MHD_destroy_response(response); /* our reference to it */
    return sent;
}

enum MHD_Result answer_request(void *user, struct MHD_Connection *handle, const char *path,
                               const char *method, const char *version, const char *upload,
                               size_t *upload_size, void **request)
{
    Web *web = user;
    const WebRoute *route = find_route(web, path);
    WebAnswer answer = {.status = MHD_HTTP_OK, .content_type = PLAIN_TEXT};

    (void)version;
    (void)upload;
    if (*request == NULL) {
        /* The headers are there. An answer queued now would cut the request's body off and force
         * the connection to close. */
        *request =
            MHD_get_connection_info(handle, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
        connection_request_began(*request, web->now);
        return MHD_YES;
    }
    if (*upload_size > 0) {
        *upload_size = 0; /* nothing here wants a body */
        return MHD_YES;
    }

    answer.body = g_string_new(NULL);
    if (route == NULL)
        answer_not_found(web, &answer);
    else if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
        answer_wrong_method(&answer);
    else
        route->handler(web->user,
                       MHD_lookup_connection_value(handle, MHD_HEADER_KIND, MHD_HTTP_HEADER_ACCEPT),
                       &answer);
    log_debug("web: %s %s: %u, %" G_GSIZE_FORMAT " bytes", method, path, answer.status,
              answer.body->len);
    return send_answer(handle, &answer);
}
