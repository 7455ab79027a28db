/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ioctl.cc - the control device of mars.ko
 *
 * The structure travels by copy: the kernel writes the answer back into it.
 */
#include "sys.h"
#include "util.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <memory>
#include <sys/ioctl.h>
#include <unistd.h>

#include <mars.h>

namespace mars {

/* A structure on its way: callers' buffers may start anywhere, the kernel may want it aligned. */
class Message {
public:
	Message(const uint8_t *data, size_t size) : size_(size), copy_(new uint64_t[(size + 7) / 8])
	{
		memcpy(copy_.get(), data, size);
	}

	/* 0 or -errno, as mars_control() would return it. */
	int Deliver(int fd)
	{
		struct mars_ctl_hdr hdr;

		if (size_ < sizeof(hdr) || size_ > MARS_IOC_MAX)
			return -EINVAL;
		memcpy(&hdr, copy_.get(), sizeof(hdr));
		return ioctl(fd, MARS_IOC(hdr.verb, size_), copy_.get()) < 0 ? -errno : 0;
	}

	const uint8_t *Data() const { return reinterpret_cast<const uint8_t *>(copy_.get()); }
	size_t Size() const { return size_; }

private:
	size_t size_;
	std::unique_ptr<uint64_t[]> copy_;
};

/* The arguments of both calls. */
struct Arguments {
	int64_t fd;
	uint8_t *data;
	size_t size;

	/* false: an exception is pending */
	bool Take(const Napi::CallbackInfo &info)
	{
		return TakeInt(info, 0, "fd", &fd) && TakeBytes(info, 1, "struct", &data, &size);
	}
};

/* controlFd(fd, struct): 0 or -errno; the answer stands in the structure. */
static Napi::Value ControlFd(const Napi::CallbackInfo &info)
{
	Napi::Env env = info.Env();
	Arguments args;

	if (!args.Take(info))
		return env.Undefined();
	Message message(args.data, args.size);
	int rc = message.Deliver(static_cast<int>(args.fd));
	memcpy(args.data, message.Data(), args.size);
	return Napi::Number::New(env, rc);
}

/* A verb that may wait for a device, off the loop. */
class SlowControl : public PromiseWork {
public:
	/* @fd: its own, as the caller may close his meanwhile */
	SlowControl(Napi::Env env, int fd, const uint8_t *data, size_t size)
		: PromiseWork(env), fd_(fd), message_(data, size) {}
	~SlowControl() override { close(fd_); }

protected:
	void Run() override { rc_ = message_.Deliver(fd_); }

	Napi::Value Result(Napi::Env env) override
	{
		Napi::Object answer = Napi::Object::New(env);

		answer.Set("rc", rc_);
		answer.Set("struct", Napi::Buffer<uint8_t>::Copy(env, message_.Data(), message_.Size()));
		return answer;
	}

private:
	int fd_;
	Message message_;
	int rc_ = 0;			/* written in Run, read on the loop afterwards */
};

/* controlFdSlowly(fd, struct): promise of { rc, struct } */
static Napi::Value ControlFdSlowly(const Napi::CallbackInfo &info)
{
	Napi::Env env = info.Env();
	Arguments args;

	if (!args.Take(info))
		return env.Undefined();
	int own = fcntl(static_cast<int>(args.fd), F_DUPFD_CLOEXEC, 0);
	if (own < 0)
		return Throw(env, errno, "fcntl");
	return PromiseWork::Start(new SlowControl(env, own, args.data, args.size));
}

void InitIoctl(Napi::Env env, Napi::Object exports)
{
	Export(env, exports, "controlFd", ControlFd);
	Export(env, exports, "controlFdSlowly", ControlFdSlowly);
}

} // namespace mars
