#include <libwebsockets.h>
#include <lws_proton.h>
#include <stdio.h>

int main(void)
{
	struct lws_context_creation_info info = {
		.options = LWS_SERVER_OPTION_PROTON,
		.port = CONTEXT_PORT_NO_LISTEN_SERVER
	};
	struct lws_context *context = lws_create_context(&info);

	printf("loop: %s\n", lws_proton_loop_of(context) ? "yes" : "no");
	lws_context_destroy(context);
	return 0;
}
