/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * notify.cc - the readiness datagram a service manager waits for
 */
#include "sys.h"
#include "util.h"

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace mars {

/* notifySocket(path, text): one datagram; path starting with @ is an abstract name. */
static Napi::Value NotifySocket(const Napi::CallbackInfo &info)
{
	Napi::Env env = info.Env();
	std::string path, text;
	struct sockaddr_un addr;

	if (!TakeString(info, 0, "path", &path) || !TakeString(info, 1, "text", &text))
		return env.Undefined();
	memset(&addr, 0, sizeof(addr));
	addr.sun_family = AF_UNIX;
	if (path.empty() || path.size() >= sizeof(addr.sun_path))
		return Throw(env, ENAMETOOLONG, "connect", path);
	memcpy(addr.sun_path, path.data(), path.size());
	if (path[0] == '@')
		addr.sun_path[0] = '\0';
	socklen_t len = offsetof(struct sockaddr_un, sun_path) + path.size();

	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return Throw(env, errno, "socket");
	ssize_t sent;
	do {
		sent = sendto(fd, text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT,
			      reinterpret_cast<struct sockaddr *>(&addr), len);
	} while (sent < 0 && errno == EINTR);
	int err = sent < 0 ? errno : 0;
	close(fd);
	if (err)
		return Throw(env, err, "sendto", path);
	return env.Undefined();
}

void InitNotify(Napi::Env env, Napi::Object exports)
{
	Export(env, exports, "notifySocket", NotifySocket);
}

} // namespace mars
