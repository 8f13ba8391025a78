#include <libwebsockets.h>
#include <stdio.h>

int main(void)
{
	struct lws_context_creation_info info = { .options = LWS_SERVER_OPTION_PROTON };
	struct lws_context *context;

	/* as a daemon does: the event library is to be found nevertheless */
	if (chdir("/"))
		return 1;
	context = lws_create_context(&info);
	if (!context)
		return 1;
	printf("listening on %d\n", lws_get_vhost_listen_port(lws_get_vhost_by_name(context, "default")));
	lws_service(context, -1);
	lws_context_destroy(context);
	return 0;
}
