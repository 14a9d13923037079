import Files
import Foundation
import TestSupport
import Testing

/// NVIDIA's driver and compiler as `Tests/Fixtures/devices/cuda.c` has them, on a processor through OpenCL.
enum TestGPU {
  /// Two versions of the compiler, whose code computes other last bits.
  enum Compiler: Int, CaseIterable {
    case first = 1
    case second
  }

  /// Without a processor's OpenCL and a C compiler there is none: `apt-get install pocl-opencl-icd gcc`.
  static var isHere: Bool { model != nil }

  private static let sharedFolder = FileManager.default.temporaryDirectory
    .appendingPathComponent("spo-gpu-\(getpid())").path

  private static let model: String? = {
    atexit { try? FileManager.default.removeItem(atPath: TestGPU.sharedFolder) }
    for compiler in Compiler.allCases {
      let folder = TestGPU.folder(of: compiler)
      try? FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
      let source = fixturePath("devices/cuda.c")
      guard compile([source, "-ldl", "-o", "\(folder)/libcuda.so.1"]),
        compile([source, "-DCOMPILER=\(compiler.rawValue)", "-o", "\(folder)/libnvrtc.so.12"])
      else { return nil }
    }
    let devices = try? Program(["doctor"], environment: environment(.first)).outcome()
    return devices?.output.contains("cuda:0 a test's GPU") == true ? sharedFolder : nil
  }()

  private static func compile(_ words: [String]) -> Bool {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = ["cc", "-shared", "-fPIC", "-O1"] + words
    process.standardError = FileHandle.nullDevice
    guard (try? process.run()) != nil else { return false }
    process.waitUntilExit()
    return process.terminationStatus == 0
  }

  private static func folder(of compiler: Compiler) -> String { "\(sharedFolder)/\(compiler)" }

  /// What the program finds such a GPU by, and nothing that is known of other devices.
  ///
  /// - Parameters:
  ///   - wrong: a kernel that it does not run
  ///   - lost: a kernel that crashes, after which every call fails
  static func environment(
    _ compiler: Compiler, wrong: String? = nil, lost: String? = nil
  ) -> [String: String] {
    var found = [
      "LD_LIBRARY_PATH": folder(of: compiler),
      "XDG_CACHE_HOME": "\(sharedFolder)/cache\(wrong ?? "")-\(lost ?? "")",
    ]
    // What PoCL compiled stays where it is for all tests.
    let inherited = ProcessInfo.processInfo.environment
    if let home = inherited["HOME"], inherited["POCL_CACHE_DIR"] == nil {
      found["POCL_CACHE_DIR"] = "\(inherited["XDG_CACHE_HOME"] ?? "\(home)/.cache")/pocl/kcache"
    }
    found["SPO_WRONG_GPU"] = wrong
    found["SPO_LOST_GPU"] = lost
    return found
  }
}
