/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * engine.cc - the addon mars: the embedded engine of this process
 *
 * There is one engine a process, shared by every JavaScript environment (main
 * thread, worker threads) that called init().  An environment that ends gives up
 * its share, but the engine and its bricks stay, like mars.ko when a daemon dies:
 * who comes next lists what exists and goes on.  Only exit() takes it down.  When
 * the process ends, IO in flight is cut as by a crash, which the log is made for.
 *
 * Events: the core calls OnEvents from any thread, holding none of its locks; it
 * wakes the one listener through a ThreadSafeFunction, at most once until the
 * listener has run.  Lock order: state.power, then state.lock, then Node's own lock
 * in the ThreadSafeFunction.  Nobody calls the core with state.lock held.
 */
#include "engine.h"
#include "glue.h"
#include "util.h"

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <mutex>

namespace mars {

/* The share of one environment; lives as long as the environment. */
struct Share {
	bool started = false;		/* counted in State.users; state.power */
	bool listening = false;		/* is State.listener; state.lock */
	Napi::ThreadSafeFunction wake;	/* valid while listening */
	std::atomic<bool> pending{false}; /* a wake-up is under way */
};

/* Of the process; never destroyed, for threads of the engine may outlive main(). */
struct State {
	std::mutex power;		/* serialises start and stop */
	bool running = false;		/* power */
	unsigned int users = 0;		/* power */
	std::mutex lock;
	Share *listener = nullptr;	/* lock */
};
static State &state = *new State;

static void OnEvents(void)
{
	std::lock_guard<std::mutex> guard(state.lock);
	Share *share = state.listener;

	if (!share || share->pending.exchange(true))
		return;
	napi_status status = share->wake.NonBlockingCall([share](Napi::Env env, Napi::Function fn) {
		/* Reset first: what comes from now on wakes again. */
		share->pending.store(false);
		CallBack(env, fn);
	});
	if (status != napi_ok)
		share->pending.store(false);
}

/* init(threads): start the engine, or take a share of the running one. */
static Napi::Value EngineInit(const Napi::CallbackInfo &info)
{
	Napi::Env env = info.Env();
	Share *share = env.GetInstanceData<Share>();
	int64_t threads;

	if (!TakeInt(info, 0, "threads", &threads))
		return env.Undefined();
	if (threads < 0 || threads > 256)
		return Throw(env, EINVAL, "init");
	std::lock_guard<std::mutex> guard(state.power);
	if (share->started)
		return env.Undefined();
	if (!state.running) {
		int rc = glue_init(static_cast<unsigned int>(threads), OnEvents);
		if (rc < 0)
			return Throw(env, -rc, "init");
		state.running = true;
	}
	state.users++;
	share->started = true;
	return env.Undefined();
}

static void Unlisten(Share *share, bool release)
{
	{
		std::lock_guard<std::mutex> guard(state.lock);
		if (!share->listening)
			return;
		share->listening = false;
		state.listener = nullptr;
	}
	if (release)
		share->wake.Abort();
}

/*
 * exit(): destroy all bricks and stop; EBUSY while another environment has a
 * share or a brick refuses, e.g. an export that is still open.
 */
static Napi::Value EngineExit(const Napi::CallbackInfo &info)
{
	Napi::Env env = info.Env();
	Share *share = env.GetInstanceData<Share>();

	std::lock_guard<std::mutex> guard(state.power);
	if (!share->started)
		return env.Undefined();
	if (state.users > 1)
		return Throw(env, EBUSY, "exit");
	int rc = glue_exit();
	if (rc < 0)
		return Throw(env, -rc, "exit");
	Unlisten(share, true);
	state.running = false;
	state.users = 0;
	share->started = false;
	return env.Undefined();
}

/* control(struct): 0 or -errno; the answer is in the structure. */
static Napi::Value Control(const Napi::CallbackInfo &info)
{
	Napi::Env env = info.Env();
	uint8_t *data;
	size_t size;

	if (!TakeBytes(info, 0, "struct", &data, &size))
		return env.Undefined();
	if (!env.GetInstanceData<Share>()->started)
		return Napi::Number::New(env, -ENODEV);
	/* The buffer may start anywhere; the structures want 8 byte alignment. */
	void *copy = malloc(size ? size : 1);
	if (!copy)
		return Napi::Number::New(env, -ENOMEM);
	memcpy(copy, data, size);
	int rc = glue_control(copy, size);
	memcpy(data, copy, size);
	free(copy);
	return Napi::Number::New(env, rc);
}

/*
 * Runs before Node's own hook of the ThreadSafeFunction, being registered after
 * it: from here on no thread of the engine touches it.
 */
static void OnListenerEnd(void *arg)
{
	Unlisten(static_cast<Share *>(arg), false);
}

/* listen(wake): one listener a process, else EBUSY; listen(undefined) ends it. */
static Napi::Value Listen(const Napi::CallbackInfo &info)
{
	Napi::Env env = info.Env();
	Share *share = env.GetInstanceData<Share>();

	napi_remove_env_cleanup_hook(env, OnListenerEnd, share);
	Unlisten(share, true);
	if (info[0].IsUndefined())
		return env.Undefined();
	if (!info[0].IsFunction()) {
		Napi::TypeError::New(env, "wake must be a function").ThrowAsJavaScriptException();
		return env.Undefined();
	}
	{
		std::lock_guard<std::mutex> guard(state.lock);
		if (state.listener)
			return Throw(env, EBUSY, "listen");
	}
	Napi::ThreadSafeFunction wake = Napi::ThreadSafeFunction::New(
		env, info[0].As<Napi::Function>(), "mars events", 0, 1);
	if (env.IsExceptionPending())
		return env.Undefined();
	wake.Unref(env);
	napi_add_env_cleanup_hook(env, OnListenerEnd, share);
	{
		std::lock_guard<std::mutex> guard(state.lock);
		if (!state.listener) {
			share->wake = wake;
			share->pending.store(false);
			share->listening = true;
			state.listener = share;
			return env.Undefined();
		}
	}
	wake.Abort();
	return Throw(env, EBUSY, "listen");
}

static void DropShare(Napi::Env, Share *share)
{
	{
		std::lock_guard<std::mutex> guard(state.power);
		if (share->started)
			state.users--;
	}
	delete share;
}

static Napi::Object Init(Napi::Env env, Napi::Object exports)
{
	Napi::Object layout = Napi::Object::New(env);

	env.SetInstanceData<Share, DropShare>(new Share);
	for (size_t i = 0; i < glue_layout_nr; i++)
		layout.Set(glue_layout[i].name, Napi::Number::New(env, glue_layout[i].value));
	exports.Set("layout", layout);
	Export(env, exports, "init", EngineInit);
	Export(env, exports, "exit", EngineExit);
	Export(env, exports, "control", Control);
	Export(env, exports, "listen", Listen);
	InitScanner(env, exports);
	return exports;
}

} // namespace mars

static Napi::Object InitModule(Napi::Env env, Napi::Object exports)
{
	return mars::Init(env, exports);
}

NODE_API_MODULE(mars, InitModule)
