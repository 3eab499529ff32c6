#!/usr/bin/env python3
"""Builds and tests the demo app without Gradle: Python's standard library, a JDK (17), mvn, aapt2, zipalign, apksigner.

    python3 android_demo/build.py apk --out app.apk --models FOLDER   a signed APK with the files of FOLDER as models
    python3 android_demo/build.py base --out tfeff/demo/base.apk      the unsigned APK without models, for `tfeff demo`
    python3 android_demo/build.py test                                JUnit and Robolectric; pictures in build/screens

Java 8 bytecode goes through dx, which stops at lambdas below API 26: the sources use none. Gradle builds the same
sources; see docs/android-demo.md.
"""

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
MAIN, TEST = HERE / "app/src/main", HERE / "app/src/test"
BUILD = HERE / "build"
VECTORS = HERE.parent / "tests/support/decode_vectors.json"  # outputs and what Python makes of them
ABIS = ("arm64-v8a", "armeabi-v7a", "x86_64")
PACKAGES = "openjdk-17-jdk-headless maven aapt zipalign apksigner"
EPOCH = (1980, 1, 1, 0, 0, 0)  # of every entry, so that the same sources give the same bytes


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["apk", "base", "test"])
    parser.add_argument("--out", type=Path, help="where the APK goes")
    parser.add_argument("--models", type=Path, help="folder with NAME.tflite, NAME.json and self-tests")
    parser.add_argument("--only", default="", help="run only tests whose class name holds this")
    arguments = parser.parse_args()
    if arguments.what != "test" and arguments.out is None:
        parser.error("--out is missing")
    need("java", "javac", "mvn", "aapt2", *(("zipalign", "apksigner", "keytool") if arguments.what == "apk" else ()))
    libraries = Libraries()
    resources = link_resources(libraries)
    classes = compile_java(libraries)
    if arguments.what == "test":
        run_tests(libraries, compile_tests(libraries, resources, classes), arguments.only)
        return
    base = pack(libraries, resources, classes)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    if arguments.what == "base":
        shutil.copyfile(base, arguments.out)
    else:
        sign(with_models(base, arguments.models), arguments.out)
    print(arguments.out)


def need(*tools):
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing:
        sys.exit(f"build.py: {', '.join(missing)} missing\n  mend: apt-get install {PACKAGES}")


def run(*command, **options):
    done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          **options)  # fmt: skip
    if done.returncode:
        sys.exit(f"build.py: {Path(str(command[0])).name} failed ({done.returncode})\n{done.stdout[-8000:]}")
    return done.stdout


class Libraries:
    """What pom.xml names, fetched once into build/libraries.

    Attributes:
        app: classes that go into the app.
        android: Android's own classes and resources.
        dx: the compiler to Android's bytecode.
        test: what tests need besides.
        native: the AAR with the runtime's native libraries.
    """

    def __init__(self):
        pom = HERE / "pom.xml"
        folder = BUILD / "libraries" / hashlib.sha256(pom.read_bytes()).hexdigest()[:12]
        if not folder.is_dir():
            part = folder.with_suffix(".part")
            shutil.rmtree(part, ignore_errors=True)
            run("mvn", "-q", "-B", "-f", pom, "dependency:copy-dependencies", f"-DoutputDirectory={part}")
            for aar in part.glob("*.aar"):
                with zipfile.ZipFile(aar) as file:
                    aar.with_suffix(".jar").write_bytes(file.read("classes.jar"))
            part.rename(folder)
        jars = sorted(folder.glob("*.jar"))
        self.folder = folder
        self.app = [jar for jar in jars if jar.name.startswith("tensorflow-lite")]
        self.android = next(jar for jar in jars if jar.name.startswith("android-all-1"))
        self.dx = next(jar for jar in jars if jar.name.startswith("dalvik-dx"))
        apart = (*self.app, self.android, self.dx)
        self.test = [jar for jar in jars if jar not in apart and "-instrumented-" not in jar.name]
        self.native = next(aar for aar in folder.glob("*.aar") if (re.match(r"tensorflow-lite-\d", aar.name)))


def settings():
    """minSdk, targetSdk, versionCode, versionName and namespace, as app/build.gradle says."""
    text = (HERE / "app/build.gradle").read_text(encoding="utf-8")
    names = ("minSdk", "targetSdk", "versionCode", "versionName", "namespace")
    return {name: re.search(rf"\b{name} '?([\w.]+)", text)[1] for name in names}


def link_resources(libraries):
    """Manifest and resources -> build/resources.apk, and R.java into build/gen."""
    says = settings()
    shutil.rmtree(BUILD / "gen", ignore_errors=True)
    (BUILD / "gen").mkdir(parents=True)
    manifest = (MAIN / "AndroidManifest.xml").read_text(encoding="utf-8")
    manifest = manifest.replace("<manifest ", f'<manifest package="{says["namespace"]}" ', 1)
    manifest = manifest.replace(
        "<uses-permission",
        f'<uses-sdk android:minSdkVersion="{says["minSdk"]}" android:targetSdkVersion="{says["targetSdk"]}" />\n'
        "    <uses-permission",
        1,
    )
    merged, out = BUILD / "AndroidManifest.xml", BUILD / "resources.apk"
    merged.write_text(manifest, encoding="utf-8")
    run("aapt2", "compile", "--dir", MAIN / "res", "-o", BUILD / "res.zip")
    run("aapt2", "link", "-o", out, "-I", libraries.android, "--manifest", merged, "--java", BUILD / "gen",
        "--version-code", says["versionCode"], "--version-name", says["versionName"], BUILD / "res.zip")  # fmt: skip
    return out


def compile_java(libraries):
    out = BUILD / "classes"
    shutil.rmtree(out, ignore_errors=True)
    sources = [*sorted((MAIN / "java").rglob("*.java")), *sorted((BUILD / "gen").rglob("*.java"))]
    lint = "-Xlint:all,-options,-classfile,-deprecation"
    javac(sources, out, [*libraries.app, libraries.android], "--release", "8", lint)
    return out


def javac(sources, out, jars, *options):
    run("javac", "-g:source,lines", "-encoding", "UTF-8", "-d", out, "-cp", os.pathsep.join(map(str, jars)), *options,
        *sources)  # fmt: skip


def source_hash():
    """sha256 over the sources of the base APK; it stands in the APK, so that a stale one is noticed."""
    digest = hashlib.sha256()
    files = [HERE / "pom.xml", HERE / "app/build.gradle", *MAIN.rglob("*")]
    for path in sorted(path for path in files if path.is_file()):
        digest.update(f"{path.relative_to(HERE).as_posix()}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


def pack(libraries, resources, classes):
    """build/base.apk: manifest, resources, bytecode, the runtime's native libraries and licence; no models."""
    dex, out = BUILD / "classes.dex", BUILD / "base.apk"
    api = f"--min-sdk-version={settings()['minSdk']}"
    run("java", "-cp", libraries.dx, "com.android.dx.command.Main", "--dex", api, f"--output={dex}", classes,
        *libraries.app)  # fmt: skip
    with zipfile.ZipFile(out, "w") as to, zipfile.ZipFile(resources) as from_:
        for name in sorted(from_.namelist()):  # resources.arsc stays uncompressed: Android maps it
            add(to, name, from_.read(name), name != "resources.arsc")
        add(to, "classes.dex", dex.read_bytes())
        with zipfile.ZipFile(libraries.native) as aar:
            for abi in ABIS:
                add(to, f"lib/{abi}/libtensorflowlite_jni.so", aar.read(f"jni/{abi}/libtensorflowlite_jni.so"))
            add(to, "assets/LICENSE.tensorflow-lite", aar.read("LICENSE"))
        add(to, "assets/sources.sha256", source_hash().encode())
    return out


def add(apk, name, data, compressed=True):
    entry = zipfile.ZipInfo(name, EPOCH)
    entry.compress_type = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    entry.external_attr = 0o644 << 16
    apk.writestr(entry, data, compresslevel=9)


def with_models(base, folder):
    out = BUILD / "unsigned.apk"
    shutil.copyfile(base, out)
    with zipfile.ZipFile(out, "a") as apk:
        for path in sorted(folder.iterdir()) if folder else []:
            if path.name.endswith((".tflite", ".json", ".selftest.png")):
                add(apk, f"assets/models/{path.name}", path.read_bytes())
    return out


def sign(unsigned, out):
    """Aligned, then signed by a key that is made once in build/ and is good for trying only."""
    aligned, key = BUILD / "aligned.apk", BUILD / "debug.p12"
    if not key.is_file():
        run("keytool", "-genkeypair", "-keystore", key, "-storetype", "PKCS12", "-storepass", "android",
            "-alias", "debug", "-keyalg", "RSA", "-keysize", "2048", "-validity", "10950",
            "-dname", "CN=tfeff demo")  # fmt: skip
    run("zipalign", "-f", "-p", "4", unsigned, aligned)
    part = out.with_name(f".{out.name}.part")
    run("apksigner", "sign", "--ks", key, "--ks-pass", "pass:android", "--min-sdk-version", settings()["minSdk"],
        "--v4-signing-enabled", "false", "--out", part, aligned)  # fmt: skip
    run("apksigner", "verify", "--min-sdk-version", settings()["minSdk"], part)
    part.rename(out)


def compile_tests(libraries, resources, classes):
    """Tests into build/test-classes, and what Robolectric reads of the app into build/test-config: the class path."""
    out, config = BUILD / "test-classes", BUILD / "test-config"
    shutil.rmtree(out, ignore_errors=True)
    (config / "com/android/tools").mkdir(parents=True, exist_ok=True)
    (BUILD / "assets").mkdir(exist_ok=True)  # none in the app itself; tests push their models
    (config / "com/android/tools/test_config.properties").write_text(
        f"android_merged_manifest={BUILD / 'AndroidManifest.xml'}\nandroid_resource_apk={resources}\n"
        f"android_merged_assets={BUILD / 'assets'}\nandroid_custom_package={settings()['namespace']}\n",
        encoding="utf-8",
    )
    jars = [classes, *libraries.app, *libraries.test]
    javac(sorted((TEST / "java").rglob("*.java")), out, [*jars, libraries.android], "--release", "8")
    return os.pathsep.join(map(str, [config, out, *jars, libraries.android]))


def run_tests(libraries, class_path, only):
    sources = sorted((TEST / "java").rglob("*Test.java"))
    names = [path.relative_to(TEST / "java").with_suffix("").as_posix().replace("/", ".") for path in sources]
    command = ["java", "-Xmx2g", "-cp", class_path, "-Drobolectric.offline=true",
               f"-Drobolectric.dependency.dir={libraries.folder}",
               "-Drobolectric.graphicsMode=NATIVE", f"-Dtfeff.screens={BUILD / 'screens'}",
               f"-Dtfeff.vectors={VECTORS}",
               "org.junit.runner.JUnitCore", *(name for name in names if only in name)]  # fmt: skip
    code = subprocess.run(command, cwd=HERE).returncode
    if code:
        sys.exit(f"build.py: tests failed ({code})")


if __name__ == "__main__":
    main()
