import DynamicLibraries

/// The functions of CUDA's driver that are used here.
///
/// Handles are the bits of pointers. The names with `_v2` are those that today's headers mean; the plain ones are older forms.
struct CUDADriver: Sendable {
  typealias Handle = UInt
  /// An address in the device's memory.
  typealias Address = UInt64
  typealias GetNumber = @convention(c) @Sendable (UnsafeMutablePointer<Int32>?) -> Int32
  typealias Initialize = @convention(c) @Sendable (UInt32) -> Int32
  typealias GetDevice = @convention(c) @Sendable (UnsafeMutablePointer<Int32>?, Int32) -> Int32
  typealias GetName =
    @convention(c) @Sendable (UnsafeMutablePointer<CChar>?, Int32, Int32) -> Int32
  typealias GetSize = @convention(c) @Sendable (UnsafeMutablePointer<Int>?, Int32) -> Int32
  typealias GetAttribute =
    @convention(c) @Sendable (UnsafeMutablePointer<Int32>?, Int32, Int32) -> Int32
  typealias RetainContext = @convention(c) @Sendable (UnsafeMutablePointer<Handle>?, Int32) -> Int32
  typealias SetContext = @convention(c) @Sendable (Handle) -> Int32
  typealias LoadModule =
    @convention(c) @Sendable (UnsafeMutablePointer<Handle>?, UnsafeRawPointer?) -> Int32
  typealias GetFunction =
    @convention(c) @Sendable (
      UnsafeMutablePointer<Handle>?, Handle, UnsafePointer<CChar>?
    ) -> Int32
  typealias Allocate = @convention(c) @Sendable (UnsafeMutablePointer<Address>?, Int) -> Int32
  typealias Release = @convention(c) @Sendable (Address) -> Int32
  typealias Upload = @convention(c) @Sendable (Address, UnsafeRawPointer?, Int) -> Int32
  typealias Download = @convention(c) @Sendable (UnsafeMutableRawPointer?, Address, Int) -> Int32
  typealias Launch =
    @convention(c) @Sendable (
      Handle, UInt32, UInt32, UInt32, UInt32, UInt32, UInt32, UInt32, Handle,
      UnsafeMutablePointer<UnsafeMutableRawPointer?>?, UnsafeRawPointer?
    ) -> Int32
  typealias Synchronize = @convention(c) @Sendable () -> Int32

  private static let loaded = Result { () throws(Absence) in try CUDADriver() }
  static var shared: CUDADriver? { try? loaded.get() }
  /// Why there is none; nil if there is.
  static var absence: Absence? {
    if case .failure(let absence) = loaded { absence } else { nil }
  }

  /// Why no device can be reached.
  enum Absence: Error, CustomStringConvertible {
    case notInstalled
    case noGPU
    /// With what an installed driver says.
    case notWorking(String)

    var description: String {
      switch self {
      case .notInstalled: "libcuda.so.1, which comes with NVIDIA's driver, was not found"
      case .noGPU: "NVIDIA's driver finds no GPU"
      case .notWorking(let reason): reason
      }
    }

    fileprivate init(code: Int32) {
      guard code != 100 else {
        self = .noGPU
        return
      }
      let reason =
        switch code {
        case 803: "NVIDIA's driver and libcuda.so.1 do not match: restart the machine"
        default: "NVIDIA's driver does not start"
        }
      self = .notWorking("\(reason) (cuInit: code \(code))")
    }
  }

  let getVersion: GetNumber
  let getDeviceCount: GetNumber
  let getDevice: GetDevice
  let getName: GetName
  let getMemory: GetSize
  let getAttribute: GetAttribute
  let retainContext: RetainContext
  let setContext: SetContext
  let loadModule: LoadModule
  let getFunction: GetFunction
  let allocate: Allocate
  let release: Release
  let upload: Upload
  let download: Download
  let launch: Launch
  let synchronize: Synchronize

  private init() throws(Absence) {
    let name = "libcuda.so.1"
    guard let library = DynamicLibrary(anyOf: name) else {
      throw DynamicLibrary.damage(of: name)
        .map { .notWorking("\(name) cannot be loaded: \($0)") } ?? .notInstalled
    }
    func bind<Function>(_ name: String) -> Function? { library.function(name, as: Function.self) }
    guard let initialize: Initialize = bind("cuInit"),
      let getVersion: GetNumber = bind("cuDriverGetVersion"),
      let getDeviceCount: GetNumber = bind("cuDeviceGetCount"),
      let getDevice: GetDevice = bind("cuDeviceGet"),
      let getName: GetName = bind("cuDeviceGetName"),
      let getMemory: GetSize = bind("cuDeviceTotalMem_v2"),
      let getAttribute: GetAttribute = bind("cuDeviceGetAttribute"),
      let retainContext: RetainContext = bind("cuDevicePrimaryCtxRetain"),
      let setContext: SetContext = bind("cuCtxSetCurrent"),
      let loadModule: LoadModule = bind("cuModuleLoadData"),
      let getFunction: GetFunction = bind("cuModuleGetFunction"),
      let allocate: Allocate = bind("cuMemAlloc_v2"),
      let release: Release = bind("cuMemFree_v2"),
      let upload: Upload = bind("cuMemcpyHtoD_v2"),
      let download: Download = bind("cuMemcpyDtoH_v2"),
      let launch: Launch = bind("cuLaunchKernel"),
      let synchronize: Synchronize = bind("cuCtxSynchronize")
    else { throw .notWorking("\(name) lacks functions; update NVIDIA's driver") }
    let status = initialize(0)
    guard status == 0 else { throw Absence(code: status) }
    self.getVersion = getVersion
    self.getDeviceCount = getDeviceCount
    self.getDevice = getDevice
    self.getName = getName
    self.getMemory = getMemory
    self.getAttribute = getAttribute
    self.retainContext = retainContext
    self.setContext = setContext
    self.loadModule = loadModule
    self.getFunction = getFunction
    self.allocate = allocate
    self.release = release
    self.upload = upload
    self.download = download
    self.launch = launch
    self.synchronize = synchronize
  }

  /// The version of CUDA that the driver knows, such as 12 and 4.
  var version: (major: Int, minor: Int) {
    var number: Int32 = 0
    guard getVersion(&number) == 0 else { return (0, 0) }
    return (Int(number) / 1000, Int(number) % 1000 / 10)
  }
}
