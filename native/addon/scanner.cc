/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * scanner.cc - the log scanner for JavaScript
 *
 * Scanner(expect, cursor).push(bytes) verifies on the calling thread (about
 * 0.1 ms for 1 MiB); scanFile(path, expect, cursor) on the libuv pool.
 * Structures travel as bytes; src/engine/structs.ts knows their layout.
 */
#include "engine.h"
#include "glue.h"
#include "logscan.h"
#include "util.h"

#include <cerrno>
#include <fcntl.h>
#include <memory>
#include <unistd.h>

namespace mars {

struct LogscanFree {
	void operator()(struct logscan *s) const { logscan_free(s); }
};
using Logscan = std::unique_ptr<struct logscan, LogscanFree>;

static Napi::Value Bytes(Napi::Env env, const void *data, size_t size)
{
	return Napi::Buffer<uint8_t>::Copy(env, static_cast<const uint8_t *>(data), size);
}

static Napi::Value ScanResult(Napi::Env env, const struct logscan *s)
{
	Napi::Object result = Napi::Object::New(env);
	const void *ident = logscan_ident(s);

	result.Set("verdict", Napi::Number::New(env, logscan_verdict(s)));
	result.Set("cursor", Bytes(env, logscan_cursor(s), logscan_cursor_size()));
	result.Set("records", Napi::BigInt::New(env, logscan_records(s)));
	result.Set("ident", ident ? Bytes(env, ident, logscan_ident_size()) : env.Undefined());
	return result;
}

/* Take an optional structure of exactly @want bytes; *data stays null when absent. */
static bool TakeStruct(const Napi::CallbackInfo &info, size_t i, const char *what,
		       size_t want, uint8_t **data)
{
	size_t size;

	*data = nullptr;
	if (info[i].IsUndefined())
		return true;
	if (!TakeBytes(info, i, what, data, &size))
		return false;
	if (size == want)
		return true;
	std::string text = std::string(what) + " must have " + std::to_string(want) + " bytes";
	Napi::RangeError::New(info.Env(), text).ThrowAsJavaScriptException();
	return false;
}

/* Make a scan from arguments @i (expect) and @i + 1 (cursor); null with an exception. */
static Logscan TakeScan(const Napi::CallbackInfo &info, size_t i)
{
	uint8_t *expect, *cursor;

	if (!TakeStruct(info, i, "expect", logscan_ident_size(), &expect) ||
	    !TakeStruct(info, i + 1, "cursor", logscan_cursor_size(), &cursor))
		return nullptr;
	Logscan scan(logscan_new(expect, cursor));
	if (!scan)
		Throw(info.Env(), ENOMEM, "malloc");
	return scan;
}

class Scanner : public Napi::ObjectWrap<Scanner> {
public:
	explicit Scanner(const Napi::CallbackInfo &info)
		: Napi::ObjectWrap<Scanner>(info), scan_(TakeScan(info, 0)) {}

	static Napi::Function Define(Napi::Env env)
	{
		return DefineClass(env, "Scanner", {InstanceMethod("push", &Scanner::Push)});
	}

private:
	Napi::Value Push(const Napi::CallbackInfo &info)
	{
		uint8_t *data;
		size_t size;

		if (!TakeBytes(info, 0, "bytes", &data, &size))
			return info.Env().Undefined();
		if (logscan_push(scan_.get(), data, size) < 0)
			return Throw(info.Env(), ENOMEM, "malloc");
		return ScanResult(info.Env(), scan_.get());
	}

	Logscan scan_;
};

class ScanFileWork : public PromiseWork {
public:
	ScanFileWork(Napi::Env env, const std::string &path, Logscan scan)
		: PromiseWork(env), path_(path), scan_(std::move(scan)) {}

protected:
	void Run() override
	{
		const char *what;
		int fd = open(path_.c_str(), O_RDONLY | O_CLOEXEC);

		if (fd < 0) {
			Fail(errno, "open", path_);
			return;
		}
		(void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
		int err = logscan_file(scan_.get(), fd, &what);
		if (err)
			Fail(err, what, path_);
		close(fd);
	}
	Napi::Value Result(Napi::Env env) override { return ScanResult(env, scan_.get()); }

private:
	const std::string path_;
	Logscan scan_;
};

static Napi::Value ScanFile(const Napi::CallbackInfo &info)
{
	std::string path;

	if (!TakeString(info, 0, "path", &path))
		return info.Env().Undefined();
	Logscan scan = TakeScan(info, 1);
	if (!scan)
		return info.Env().Undefined();
	return PromiseWork::Start(new ScanFileWork(info.Env(), path, std::move(scan)));
}

/* crc32c(bytes, seed): seed 0 to begin, or the result so far. */
static Napi::Value Crc32c(const Napi::CallbackInfo &info)
{
	uint8_t *data;
	size_t size;
	int64_t seed;

	if (!TakeBytes(info, 0, "bytes", &data, &size) || !TakeInt(info, 1, "seed", &seed))
		return info.Env().Undefined();
	return Napi::Number::New(info.Env(), glue_crc32c(static_cast<uint32_t>(seed), data, size));
}

static Napi::Value VerdictName(const Napi::CallbackInfo &info)
{
	int64_t verdict;

	if (!TakeInt(info, 0, "verdict", &verdict))
		return info.Env().Undefined();
	return Napi::String::New(info.Env(), logscan_verdict_name(static_cast<int>(verdict)));
}

void InitScanner(Napi::Env env, Napi::Object exports)
{
	exports.Set("Scanner", Scanner::Define(env));
	Export(env, exports, "scanFile", ScanFile);
	Export(env, exports, "crc32c", Crc32c);
	Export(env, exports, "verdictName", VerdictName);
}

} // namespace mars
