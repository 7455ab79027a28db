/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * poll.cc - readiness of a descriptor, for the events of mars.ko
 *
 * A Poller belongs to the loop of its environment.  It ends by stop() or with
 * the environment; libuv owns its memory from then on until the close callback.
 */
#include "sys.h"
#include "util.h"

#include <memory>

#include <uv.h>

namespace mars {

struct Poller {
	uv_poll_t poll;			/* first: libuv hands it back */
	Napi::FunctionReference ready;
	napi_async_cleanup_hook_handle hook = nullptr;
	std::shared_ptr<Poller *> self = std::make_shared<Poller *>(this); /* null = closing */

	explicit Poller(Napi::Function fn)
		: ready(Napi::Persistent(fn)) {}
};

static void OnClosed(uv_handle_t *handle)
{
	Poller *poller = static_cast<Poller *>(handle->data);
	napi_async_cleanup_hook_handle hook = poller->hook;

	delete poller;
	napi_remove_async_cleanup_hook(hook);
}

static void Close(Poller *poller)
{
	*poller->self = nullptr;
	uv_close(reinterpret_cast<uv_handle_t *>(&poller->poll), OnClosed);
}

static void OnEnvironmentEnd(napi_async_cleanup_hook_handle, void *arg)
{
	Poller *poller = static_cast<Poller *>(arg);

	if (*poller->self)
		Close(poller);
}

/* A poll error counts as ready too: the reader finds out what is wrong. */
static void OnReady(uv_poll_t *handle, int, int)
{
	Poller *poller = static_cast<Poller *>(handle->data);
	Napi::Env env = poller->ready.Env();
	Napi::HandleScope scope(env);

	CallBack(env, poller->ready.Value());
}

/*
 * pollFd(fd, ready): call ready() while the descriptor is readable, until the
 * returned function is called.  Does not keep the process alive.
 */
static Napi::Value PollFd(const Napi::CallbackInfo &info)
{
	Napi::Env env = info.Env();
	uv_loop_t *loop = nullptr;
	int64_t fd;

	if (!TakeInt(info, 0, "fd", &fd))
		return env.Undefined();
	if (!info[1].IsFunction()) {
		Napi::TypeError::New(env, "ready must be a function").ThrowAsJavaScriptException();
		return env.Undefined();
	}
	if (napi_get_uv_event_loop(env, &loop) != napi_ok)
		return Throw(env, EINVAL, "poll");
	Poller *poller = new Poller(info[1].As<Napi::Function>());
	int rc = uv_poll_init(loop, &poller->poll, static_cast<int>(fd));
	if (rc < 0) {
		delete poller;
		return Throw(env, -rc, "poll");
	}
	poller->poll.data = poller;
	napi_add_async_cleanup_hook(env, OnEnvironmentEnd, poller, &poller->hook);
	rc = uv_poll_start(&poller->poll, UV_READABLE, OnReady);
	if (rc < 0) {
		Close(poller);
		return Throw(env, -rc, "poll");
	}
	uv_unref(reinterpret_cast<uv_handle_t *>(&poller->poll));
	std::shared_ptr<Poller *> self = poller->self;
	return Napi::Function::New(env, [self](const Napi::CallbackInfo &) {
		if (*self)
			Close(*self);
	}, "stop");
}

void InitPoll(Napi::Env env, Napi::Object exports)
{
	Export(env, exports, "pollFd", PollFd);
}

} // namespace mars
