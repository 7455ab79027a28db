/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * links.cc - symlinks with times in nanoseconds
 *
 * Node's lutimes and stat go through doubles and lose the low bits of a stamp;
 * the tree keeps its versions there.  All calls are synchronous: each costs
 * microseconds on a local file system.
 */
#include "sys.h"
#include "util.h"

#include <cerrno>
#include <climits>
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace mars {

static const int64_t kNsec = 1000000000;

static int64_t ToNs(const struct timespec &t)
{
	return static_cast<int64_t>(t.tv_sec) * kNsec + t.tv_nsec;
}

/* setLinkTime(path, ns): set both times of the link itself. */
static Napi::Value SetLinkTime(const Napi::CallbackInfo &info)
{
	std::string path;
	int64_t ns;

	if (!TakeString(info, 0, "path", &path) || !TakeBigInt(info, 1, "ns", &ns))
		return info.Env().Undefined();
	if (ns < 0)
		return Throw(info.Env(), EINVAL, "utimensat", path);

	struct timespec t;
	t.tv_sec = static_cast<time_t>(ns / kNsec);
	t.tv_nsec = static_cast<long>(ns % kNsec);
	struct timespec times[2] = {t, t};
	if (utimensat(AT_FDCWD, path.c_str(), times, AT_SYMLINK_NOFOLLOW) < 0)
		return Throw(info.Env(), errno, "utimensat", path);
	return info.Env().Undefined();
}

static Napi::Object LinkObject(Napi::Env env, const char *target, ssize_t len,
			       const struct stat &st)
{
	Napi::Object link = Napi::Object::New(env);

	link.Set("target", Napi::String::New(env, target, static_cast<size_t>(len)));
	link.Set("mtimeNs", Napi::BigInt::New(env, ToNs(st.st_mtim)));
	link.Set("ctimeNs", Napi::BigInt::New(env, ToNs(st.st_ctim)));
	link.Set("ino", Napi::BigInt::New(env, static_cast<uint64_t>(st.st_ino)));
	return link;
}

/*
 * Read link @name below @dir.  0, or an errno: ENOENT when nothing is there,
 * EINVAL when it is no symlink.  A link replaced between the two calls is read
 * again, so target and time belong together.
 */
static int ReadLink(int dir, const char *name, char *target, ssize_t *len, struct stat *st)
{
	struct stat again;

	do {
		if (fstatat(dir, name, st, AT_SYMLINK_NOFOLLOW) < 0)
			return errno;
		if (!S_ISLNK(st->st_mode))
			return EINVAL;
		*len = readlinkat(dir, name, target, PATH_MAX);
		if (*len < 0 && errno != EINVAL)
			return errno;
		if (fstatat(dir, name, &again, AT_SYMLINK_NOFOLLOW) < 0)
			return errno;
	} while (*len < 0 || again.st_ino != st->st_ino ||
		 ToNs(again.st_ctim) != ToNs(st->st_ctim));
	return 0;
}

/* linkInfo(path): {target, mtimeNs, ctimeNs, ino}; undefined when there is no link. */
static Napi::Value LinkInfo(const Napi::CallbackInfo &info)
{
	char target[PATH_MAX];
	std::string path;
	struct stat st;
	ssize_t len;

	if (!TakeString(info, 0, "path", &path))
		return info.Env().Undefined();
	int err = ReadLink(AT_FDCWD, path.c_str(), target, &len, &st);
	if (err == ENOENT || err == ENOTDIR || err == EINVAL)
		return info.Env().Undefined();
	if (err)
		return Throw(info.Env(), err, "readlink", path);
	return LinkObject(info.Env(), target, len, st);
}

/*
 * readLinks(dir): {links: [{name, target, mtimeNs, ctimeNs, ino}], dirs: [name]}
 * in one pass; other files and what vanishes meanwhile are left out.
 */
static Napi::Value ReadLinks(const Napi::CallbackInfo &info)
{
	Napi::Env env = info.Env();
	char target[PATH_MAX];
	std::string path;

	if (!TakeString(info, 0, "dir", &path))
		return env.Undefined();
	DIR *dir = opendir(path.c_str());
	if (!dir)
		return Throw(env, errno, "opendir", path);

	Napi::Array links = Napi::Array::New(env);
	Napi::Array dirs = Napi::Array::New(env);
	uint32_t nr_links = 0, nr_dirs = 0;
	struct dirent *entry;
	int err = 0;

	while (errno = 0, (entry = readdir(dir)) != nullptr) {
		std::string name = entry->d_name;
		struct stat st;
		ssize_t len;

		if (name == "." || name == "..")
			continue;
		err = ReadLink(dirfd(dir), entry->d_name, target, &len, &st);
		if (!err) {
			Napi::Object link = LinkObject(env, target, len, st);

			link.Set("name", Napi::String::New(env, name));
			links.Set(nr_links++, link);
		} else if (err == EINVAL && S_ISDIR(st.st_mode)) {
			dirs.Set(nr_dirs++, Napi::String::New(env, name));
		} else if (err != EINVAL && err != ENOENT) {
			break;
		}
		err = 0;
	}
	if (!err)
		err = errno;
	closedir(dir);
	if (err)
		return Throw(env, err, "readdir", path);

	Napi::Object result = Napi::Object::New(env);
	result.Set("links", links);
	result.Set("dirs", dirs);
	return result;
}

/* syncDir(path): names in this directory are durable on return. */
static Napi::Value SyncDir(const Napi::CallbackInfo &info)
{
	std::string path;

	if (!TakeString(info, 0, "path", &path))
		return info.Env().Undefined();
	int fd = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return Throw(info.Env(), errno, "open", path);
	int err = fsync(fd) < 0 ? errno : 0;
	close(fd);
	if (err)
		return Throw(info.Env(), err, "fsync", path);
	return info.Env().Undefined();
}

void InitLinks(Napi::Env env, Napi::Object exports)
{
	Export(env, exports, "setLinkTime", SetLinkTime);
	Export(env, exports, "linkInfo", LinkInfo);
	Export(env, exports, "readLinks", ReadLinks);
	Export(env, exports, "syncDir", SyncDir);
}

} // namespace mars
