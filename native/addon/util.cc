/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * util.cc - see util.h
 */
#include "util.h"

#include <cstring>

#include <uv.h>

namespace mars {

static const char *ErrnoName(int err)
{
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 32)
	const char *name = strerrorname_np(err);

	if (name)
		return name;
#endif
	return uv_err_name(-err);
}

Napi::Error SystemError(Napi::Env env, int err, const char *syscall, const std::string &path)
{
	const char *name = ErrnoName(err);
	std::string text = std::string(name) + ": " + strerror(err) + ", " + syscall;

	if (!path.empty())
		text += " '" + path + "'";
	Napi::Error error = Napi::Error::New(env, text);
	error.Set("code", Napi::String::New(env, name));
	error.Set("errno", Napi::Number::New(env, -err));
	error.Set("syscall", Napi::String::New(env, syscall));
	if (!path.empty())
		error.Set("path", Napi::String::New(env, path));
	return error;
}

Napi::Value Throw(Napi::Env env, int err, const char *syscall, const std::string &path)
{
	SystemError(env, err, syscall, path).ThrowAsJavaScriptException();
	return env.Undefined();
}

static bool Refuse(const Napi::CallbackInfo &info, size_t i, const char *what, const char *type)
{
	std::string text = std::string(what) + " (argument " + std::to_string(i + 1) +
			   ") must be " + type;

	Napi::TypeError::New(info.Env(), text).ThrowAsJavaScriptException();
	return false;
}

bool TakeString(const Napi::CallbackInfo &info, size_t i, const char *what, std::string *out)
{
	if (!info[i].IsString())
		return Refuse(info, i, what, "a string");
	*out = info[i].As<Napi::String>().Utf8Value();
	/* A NUL would silently cut a path short. */
	if (out->find('\0') != std::string::npos)
		return Refuse(info, i, what, "a string without NUL");
	return true;
}

bool TakeInt(const Napi::CallbackInfo &info, size_t i, const char *what, int64_t *out)
{
	if (!info[i].IsNumber())
		return Refuse(info, i, what, "an integer");
	double value = info[i].As<Napi::Number>().DoubleValue();
	if (!(value >= -9007199254740991.0 && value <= 9007199254740991.0) ||
	    value != static_cast<double>(static_cast<int64_t>(value)))
		return Refuse(info, i, what, "an integer");
	*out = static_cast<int64_t>(value);
	return true;
}

bool TakeBigInt(const Napi::CallbackInfo &info, size_t i, const char *what, int64_t *out)
{
	bool lossless = false;

	if (!info[i].IsBigInt())
		return Refuse(info, i, what, "a bigint");
	*out = info[i].As<Napi::BigInt>().Int64Value(&lossless);
	if (!lossless)
		return Refuse(info, i, what, "a bigint of 64 bits");
	return true;
}

bool TakeBytes(const Napi::CallbackInfo &info, size_t i, const char *what,
	       uint8_t **data, size_t *size)
{
	if (!info[i].IsTypedArray() ||
	    info[i].As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array)
		return Refuse(info, i, what, "a Uint8Array");
	Napi::Uint8Array bytes = info[i].As<Napi::Uint8Array>();
	*data = bytes.Data();
	*size = bytes.ByteLength();
	return true;
}

void Export(Napi::Env env, Napi::Object exports, const char *name,
	    Napi::Value (*fn)(const Napi::CallbackInfo &))
{
	exports.Set(name, Napi::Function::New(env, fn, name));
}

void CallBack(Napi::Env env, Napi::Function fn)
{
	napi_value self, error;
	bool pending = false;

	/* The plain C calls: their C++ dress aborts when a terminating thread refuses them. */
	if (napi_get_global(env, &self) != napi_ok)
		return;
	(void)napi_make_callback(env, nullptr, self, fn, 0, nullptr, nullptr);
	if (napi_is_exception_pending(env, &pending) == napi_ok && pending &&
	    napi_get_and_clear_last_exception(env, &error) == napi_ok)
		(void)napi_fatal_exception(env, error);
}

Napi::Value PromiseWork::Start(PromiseWork *work)
{
	Napi::Env env = work->Env();
	napi_value promise;

	/* The C++ dress would return a promise that was never made. */
	if (napi_create_promise(env, &work->deferred_, &promise) != napi_ok) {
		delete work;
		return Napi::Value();
	}
	work->Queue();
	return Napi::Value(env, promise);
}

void PromiseWork::Fail(int err, const char *syscall, const std::string &path)
{
	err_ = err;
	syscall_ = syscall;
	path_ = path;
}

void PromiseWork::OnOK()
{
	Napi::HandleScope scope(Env());

	/* Refused to a thread that is being terminated: nobody waits there any more. */
	if (err_)
		(void)napi_reject_deferred(Env(), deferred_,
					   SystemError(Env(), err_, syscall_, path_).Value());
	else
		(void)napi_resolve_deferred(Env(), deferred_, Result(Env()));
}

} // namespace mars
