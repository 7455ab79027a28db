/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * util.h - what every file of the binding needs: errors and arguments
 *
 * The binding never throws C++ exceptions.  A function that fails leaves a
 * pending JavaScript exception and returns undefined.  Errors of system calls
 * look like those of node:fs: code (errno name), errno (negative), syscall, path.
 */
#ifndef _MARS_ADDON_UTIL_H
#define _MARS_ADDON_UTIL_H

#include <cstdint>
#include <string>

#include <napi.h>

namespace mars {

/* Make the Error of a failed system call; @err is a positive errno. */
Napi::Error SystemError(Napi::Env env, int err, const char *syscall,
			const std::string &path = std::string());
/* Throw it and return undefined. */
Napi::Value Throw(Napi::Env env, int err, const char *syscall,
		  const std::string &path = std::string());

/*
 * Take argument @i.  On a wrong type they throw a TypeError that names the
 * argument and return false.
 */
bool TakeString(const Napi::CallbackInfo &info, size_t i, const char *what, std::string *out);
bool TakeInt(const Napi::CallbackInfo &info, size_t i, const char *what, int64_t *out);
bool TakeBigInt(const Napi::CallbackInfo &info, size_t i, const char *what, int64_t *out);
/* Points into the JavaScript buffer: valid until control returns to JavaScript. */
bool TakeBytes(const Napi::CallbackInfo &info, size_t i, const char *what,
	       uint8_t **data, size_t *size);

/* Define a function property. */
void Export(Napi::Env env, Napi::Object exports, const char *name,
	    Napi::Value (*fn)(const Napi::CallbackInfo &));

/*
 * Call @fn from the loop, with nobody above to catch: what it throws ends the
 * process like any uncaught exception.  Quietly does nothing while the thread
 * is being terminated.
 */
void CallBack(Napi::Env env, Napi::Function fn);

/*
 * Work on the libuv pool that settles a promise.  A subclass does its system
 * calls in Run() and says in Fail() what failed; Result() makes the value.
 * It deletes itself when done.
 */
class PromiseWork : public Napi::AsyncWorker {
public:
	explicit PromiseWork(Napi::Env env) : Napi::AsyncWorker(env) {}
	/*
	 * Queue @work and return its promise.  A thread that is being terminated can
	 * make none: then @work is gone, and the value is empty.
	 */
	static Napi::Value Start(PromiseWork *work);

protected:
	virtual void Run() = 0;
	virtual Napi::Value Result(Napi::Env env) = 0;
	void Fail(int err, const char *syscall, const std::string &path = std::string());

private:
	void Execute() final { Run(); }
	void OnOK() final;

	napi_deferred deferred_ = nullptr;
	int err_ = 0;			/* written in Run, read on the loop afterwards */
	const char *syscall_ = "";
	std::string path_;
};

} // namespace mars

#endif /* _MARS_ADDON_UTIL_H */
