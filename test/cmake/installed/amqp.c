#include <lws_proton_amqp.h>
#include <proton/connection.h>
#include <proton/delivery.h>
#include <proton/event.h>
#include <proton/link.h>
#include <proton/session.h>
#include <stdio.h>

/* both ends in one context: a client sends a message */

static int messages, ended;

static void handle_server(void *context, pn_event_t *event)
{
	(void)context;
	switch (pn_event_type(event)) {
	case PN_CONNECTION_REMOTE_OPEN:
		pn_connection_open(pn_event_connection(event));
		break;
	case PN_SESSION_REMOTE_OPEN:
		pn_session_open(pn_event_session(event));
		break;
	case PN_LINK_REMOTE_OPEN:
		pn_link_open(pn_event_link(event));
		pn_link_flow(pn_event_link(event), 1);
		break;
	case PN_DELIVERY:
		messages++;
		pn_connection_close(pn_event_connection(event));
		break;
	default:
		break;
	}
}

static void handle_client(void *context, pn_event_t *event)
{
	pn_session_t *session;

	(void)context;
	switch (pn_event_type(event)) {
	case PN_CONNECTION_INIT:
		session = pn_session(pn_event_connection(event));
		pn_session_open(session);
		pn_link_open(pn_sender(session, "sender"));
		break;
	case PN_LINK_FLOW:
		pn_delivery(pn_event_link(event), pn_dtag("1", 1));
		pn_link_send(pn_event_link(event), "hello", 5);
		pn_link_advance(pn_event_link(event));
		break;
	case PN_CONNECTION_REMOTE_CLOSE:
		pn_connection_close(pn_event_connection(event));
		break;
	case PN_TRANSPORT_CLOSED:
		ended = 1;
		break;
	default:
		break;
	}
}

int main(void)
{
	lws_proton_amqp_t server = { .handle = handle_server };
	lws_proton_amqp_t client = { .handle = handle_client };
	const struct lws_protocols protocols[] = {
		{ "http", lws_callback_http_dummy, 0, 0, 0, NULL, 0 },
		LWS_PROTON_AMQP_PROTOCOL("amqp", &server),
		LWS_PROTON_AMQP_PROTOCOL("client", &client),
		LWS_PROTOCOL_LIST_TERM
	};
	struct lws_context_creation_info info = {
		.options = LWS_SERVER_OPTION_PROTON,
		.iface = "127.0.0.1",
		.protocols = protocols
	};
	lws_proton_amqp_connect_t how = { .protocol = "client" };
	char url[64];

	how.context = lws_create_context(&info);
	if (!how.context)
		return 1;
	snprintf(url, sizeof(url), "ws://127.0.0.1:%d/",
		 lws_get_vhost_listen_port(lws_get_vhost_by_name(how.context, "default")));
	how.url = url;
	if (lws_proton_amqp_connect(&how, NULL, NULL))
		return 1;
	while (!ended && lws_service(how.context, 0) >= 0)
		;
	lws_context_destroy(how.context);
	printf("messages: %d\n", messages);
	return 0;
}
