import DynamicLibraries
import Files
import Glibc

/// NVIDIA's compiler at run time.
///
/// A driver comes without it: it is part of the CUDA toolkit, and of a wheel that PyTorch brings.
struct NVRTC: Sendable {
  typealias Handle = UInt
  typealias GetVersion =
    @convention(c) @Sendable (UnsafeMutablePointer<Int32>?, UnsafeMutablePointer<Int32>?) -> Int32
  typealias Create =
    @convention(c) @Sendable (
      UnsafeMutablePointer<Handle>?, UnsafePointer<CChar>?, UnsafePointer<CChar>?, Int32,
      UnsafeRawPointer?, UnsafeRawPointer?
    ) -> Int32
  typealias Compile =
    @convention(c) @Sendable (
      Handle, Int32, UnsafePointer<UnsafePointer<CChar>?>?
    ) -> Int32
  typealias GetSize = @convention(c) @Sendable (Handle, UnsafeMutablePointer<Int>?) -> Int32
  typealias GetBytes = @convention(c) @Sendable (Handle, UnsafeMutablePointer<UInt8>?) -> Int32
  typealias Destroy = @convention(c) @Sendable (UnsafeMutablePointer<Handle>?) -> Int32

  static let installation = "pip install nvidia-cuda-nvrtc-cu12"

  let version: (major: Int, minor: Int)
  let path: String
  private let create: Create
  private let compile: Compile
  private let codeSize: GetSize
  private let code: GetBytes
  private let logSize: GetSize
  private let log: GetBytes
  private let destroy: Destroy

  /// The newest one that the driver's version of CUDA can run the code of; nil if there is none.
  ///
  /// - Parameter driver: its major version
  init?(forDriver driver: Int) {
    // Before 11 there are other names, and nothing that is still in use.
    for major in stride(from: driver, through: 11, by: -1) {
      if let library = DynamicLibrary(anyOf: Self.candidates(major: major)),
        let found = NVRTC(library)
      {
        self = found
        return
      }
    }
    return nil
  }

  private init?(_ library: DynamicLibrary) {
    func bind<Function>(_ name: String) -> Function? { library.function(name, as: Function.self) }
    guard let getVersion: GetVersion = bind("nvrtcVersion"),
      let create: Create = bind("nvrtcCreateProgram"),
      let compile: Compile = bind("nvrtcCompileProgram"),
      let codeSize: GetSize = bind("nvrtcGetCUBINSize"),
      let code: GetBytes = bind("nvrtcGetCUBIN"),
      let logSize: GetSize = bind("nvrtcGetProgramLogSize"),
      let log: GetBytes = bind("nvrtcGetProgramLog"),
      let destroy: Destroy = bind("nvrtcDestroyProgram")
    else { return nil }
    var (major, minor): (Int32, Int32) = (0, 0)
    guard getVersion(&major, &minor) == 0 else { return nil }
    version = (Int(major), Int(minor))
    path = library.path(ofFunction: "nvrtcVersion")
    self.create = create
    self.compile = compile
    self.codeSize = codeSize
    self.code = code
    self.logSize = logSize
    self.log = log
    self.destroy = destroy
  }

  /// What tells it from others of its version, whose code may differ: a digest of the library's file.
  ///
  /// - Throws: `FileError` if the file cannot be read
  func digest() throws(FileError) -> String {
    String(try SHA256.digest(of: RegularFile(path: path)).hexadecimal.prefix(8))
  }

  /// Machine code for a real target such as `sm_80`, so that no driver is too old for it.
  ///
  /// - Parameter device: for messages
  func machineCode(
    _ source: KernelSource, target: String, definitions: [String], device: String
  ) throws(DeviceError) -> [UInt8] {
    try compiled(source, target, definitions.map { "-D\($0)" }, device).code
  }

  /// What the assembler says of kernels that have not enough registers: a line for each, none if all have.
  func spills(
    of source: KernelSource, target: String, definitions: [String], device: String
  ) throws(DeviceError) -> [String] {
    let log = try compiled(
      source, target, definitions.map { "-D\($0)" } + ["--ptxas-options=-v"], device
    ).log
    let lines = log.split(whereSeparator: \.isNewline).filter { $0.contains("spill stores") }
    guard !lines.isEmpty else {
      throw .notCompiled(
        source: source.name, device: device, log: "error: the assembler names no registers")
    }
    return lines.filter { !$0.contains(" 0 bytes spill stores") }.map(String.init)
  }

  private func compiled(
    _ source: KernelSource, _ target: String, _ options: [String], _ device: String
  ) throws(DeviceError) -> (code: [UInt8], log: String) {
    var program: Handle = 0
    guard create(&program, source.text, "\(source.name).cu", 0, nil, nil) == 0 else {
      throw .notCompiled(source: source.name, device: device, log: "no memory")
    }
    defer { _ = destroy(&program) }
    // Not every helper is used in every file.
    let options = ["--gpu-architecture=\(target)", "--disable-warnings"] + options
    let copies = options.map { strdup($0) }
    defer { for copy in copies { free(copy) } }
    let pointers = copies.map { UnsafePointer<CChar>($0) }
    let status = compile(program, Int32(pointers.count), pointers)
    let text = bytes(program, logSize, log) ?? []
    let log = String(decoding: text.prefix { $0 != 0 }, as: UTF8.self)
    guard status == 0 else {
      throw .notCompiled(source: source.name, device: device, log: log)
    }
    guard let code = bytes(program, codeSize, code), !code.isEmpty else {
      throw .notCompiled(
        source: source.name, device: device, log: "error: no machine code for \(target)")
    }
    return (code, log)
  }

  private func bytes(_ program: Handle, _ size: GetSize, _ get: GetBytes) -> [UInt8]? {
    var count = 0
    guard size(program, &count) == 0 else { return nil }
    var bytes = [UInt8](repeating: 0, count: count)
    return get(program, &bytes) == 0 ? bytes : nil
  }

  /// Where a library of this version may be: where the system looks, then toolkits, then wheels.
  private static func candidates(major: Int) -> [String] {
    let name = major == 11 ? "libnvrtc.so.11.2" : "libnvrtc.so.\(major)"
    func folder(_ variable: String) -> [String] {
      getenv(variable).map { [String(cString: $0)] } ?? []
    }
    let toolkits = folder("CUDA_HOME") + folder("CUDA_PATH") + ["/usr/local/cuda*"]
    let pythons =
      folder("VIRTUAL_ENV") + folder("CONDA_PREFIX") + folder("HOME").map { "\($0)/.local" }
      + ["/usr/local", "/usr", "/opt/conda"]
    let patterns =
      (toolkits + folder("CONDA_PREFIX")).flatMap { ["\($0)/lib64/\(name)", "\($0)/lib/\(name)"] }
      + pythons.flatMap { root in
        ["site-packages", "dist-packages"].map {
          "\(root)/lib/python3*/\($0)/nvidia/*/lib/\(name)"
        }
      }
      + ["/usr/lib/python3/dist-packages/nvidia/*/lib/\(name)"]
    return [name] + patterns.flatMap(existingFiles)
  }
}

/// The files that a pattern of the shell means, in alphabetical order.
private func existingFiles(_ pattern: String) -> [String] {
  var found = glob_t()
  defer { globfree(&found) }
  guard glob(pattern, 0, nil, &found) == 0 else { return [] }
  return (0..<Int(found.gl_pathc)).compactMap { found.gl_pathv[$0].map { String(cString: $0) } }
}
