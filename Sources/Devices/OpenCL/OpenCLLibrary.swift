import DynamicLibraries
import Foundation

/// The functions of OpenCL 1.2 that are used here.
///
/// Handles are the bits of pointers.
struct OpenCLLibrary: Sendable {
  typealias Handle = UInt
  /// Of a platform, device, program or kernel: which fact, room, target, size.
  typealias Information =
    @convention(c) @Sendable (
      Handle, UInt32, Int, UnsafeMutableRawPointer?, UnsafeMutablePointer<Int>?
    ) -> Int32
  /// Of a program for a device.
  typealias BuildInformation =
    @convention(c) @Sendable (
      Handle, Handle, UInt32, Int, UnsafeMutableRawPointer?, UnsafeMutablePointer<Int>?
    ) -> Int32
  typealias Release = @convention(c) @Sendable (Handle) -> Int32
  typealias CopyOut =
    @convention(c) @Sendable (
      Handle, Handle, UInt32, Int, Int, UnsafeMutableRawPointer?, UInt32, UnsafeRawPointer?,
      UnsafeMutableRawPointer?
    ) -> Int32
  typealias CopyIn =
    @convention(c) @Sendable (
      Handle, Handle, UInt32, Int, Int, UnsafeRawPointer?, UInt32, UnsafeRawPointer?,
      UnsafeMutableRawPointer?
    ) -> Int32

  typealias PlatformIDs =
    @convention(c) @Sendable (
      UInt32, UnsafeMutablePointer<Handle>?, UnsafeMutablePointer<UInt32>?
    ) -> Int32
  typealias DeviceIDs =
    @convention(c) @Sendable (
      Handle, UInt64, UInt32, UnsafeMutablePointer<Handle>?, UnsafeMutablePointer<UInt32>?
    ) -> Int32
  typealias CreateContext =
    @convention(c) @Sendable (
      UnsafePointer<Int>?, UInt32, UnsafePointer<Handle>?, UnsafeRawPointer?,
      UnsafeMutableRawPointer?, UnsafeMutablePointer<Int32>?
    ) -> Handle
  typealias CreateQueue =
    @convention(c) @Sendable (Handle, Handle, UInt64, UnsafeMutablePointer<Int32>?) -> Handle
  typealias CreateBuffer =
    @convention(c) @Sendable (
      Handle, UInt64, Int, UnsafeMutableRawPointer?, UnsafeMutablePointer<Int32>?
    ) -> Handle
  typealias CreateProgram =
    @convention(c) @Sendable (
      Handle, UInt32, UnsafePointer<UnsafePointer<CChar>?>?, UnsafePointer<Int>?,
      UnsafeMutablePointer<Int32>?
    ) -> Handle
  typealias BuildProgram =
    @convention(c) @Sendable (
      Handle, UInt32, UnsafePointer<Handle>?, UnsafePointer<CChar>?, UnsafeRawPointer?,
      UnsafeMutableRawPointer?
    ) -> Int32
  typealias CreateKernel =
    @convention(c) @Sendable (Handle, UnsafePointer<CChar>?, UnsafeMutablePointer<Int32>?) -> Handle
  typealias SetArgument =
    @convention(c) @Sendable (Handle, UInt32, Int, UnsafeRawPointer?) -> Int32
  typealias EnqueueKernel =
    @convention(c) @Sendable (
      Handle, Handle, UInt32, UnsafePointer<Int>?, UnsafePointer<Int>?, UnsafePointer<Int>?,
      UInt32, UnsafeRawPointer?, UnsafeMutableRawPointer?
    ) -> Int32

  static let fileNames = ["libOpenCL.so.1"]
  static let shared = OpenCLLibrary()

  /// Whether a driver is installed that may be a GPU's.
  ///
  /// Told by the files that name drivers, without loading one. PoCL's devices are processors.
  static var mayHaveGPU: Bool {
    let named = ProcessInfo.processInfo.environment["OCL_ICD_VENDORS"]
    let folder = named ?? "/etc/OpenCL/vendors"
    // The variable may name one driver, too.
    guard let names = try? FileManager.default.contentsOfDirectory(atPath: folder) else {
      return named.map { !$0.contains("pocl") } ?? false
    }
    return names.contains { $0.hasSuffix(".icd") && !$0.contains("pocl") }
  }

  let getPlatformIDs: PlatformIDs
  let getDeviceIDs: DeviceIDs
  let getDeviceInfo: Information
  let createContext: CreateContext
  let createCommandQueue: CreateQueue
  let createBuffer: CreateBuffer
  let releaseMemory: Release
  let createProgram: CreateProgram
  let buildProgram: BuildProgram
  let getProgramBuildInfo: BuildInformation
  let createKernel: CreateKernel
  let setKernelArgument: SetArgument
  let enqueueKernel: EnqueueKernel
  let enqueueRead: CopyOut
  let enqueueWrite: CopyIn
  let flush: Release
  let finish: Release

  /// Nil where there is no such library, or not all of it.
  private init?() {
    guard let library = DynamicLibrary(anyOf: Self.fileNames) else { return nil }
    func bind<Function>(_ name: String) -> Function? { library.function(name, as: Function.self) }
    guard let getPlatformIDs: PlatformIDs = bind("clGetPlatformIDs"),
      let getDeviceIDs: DeviceIDs = bind("clGetDeviceIDs"),
      let getDeviceInfo: Information = bind("clGetDeviceInfo"),
      let createContext: CreateContext = bind("clCreateContext"),
      let createCommandQueue: CreateQueue = bind("clCreateCommandQueue"),
      let createBuffer: CreateBuffer = bind("clCreateBuffer"),
      let releaseMemory: Release = bind("clReleaseMemObject"),
      let createProgram: CreateProgram = bind("clCreateProgramWithSource"),
      let buildProgram: BuildProgram = bind("clBuildProgram"),
      let getProgramBuildInfo: BuildInformation = bind("clGetProgramBuildInfo"),
      let createKernel: CreateKernel = bind("clCreateKernel"),
      let setKernelArgument: SetArgument = bind("clSetKernelArg"),
      let enqueueKernel: EnqueueKernel = bind("clEnqueueNDRangeKernel"),
      let enqueueRead: CopyOut = bind("clEnqueueReadBuffer"),
      let enqueueWrite: CopyIn = bind("clEnqueueWriteBuffer"),
      let flush: Release = bind("clFlush"), let finish: Release = bind("clFinish")
    else { return nil }
    self.getPlatformIDs = getPlatformIDs
    self.getDeviceIDs = getDeviceIDs
    self.getDeviceInfo = getDeviceInfo
    self.createContext = createContext
    self.createCommandQueue = createCommandQueue
    self.createBuffer = createBuffer
    self.releaseMemory = releaseMemory
    self.createProgram = createProgram
    self.buildProgram = buildProgram
    self.getProgramBuildInfo = getProgramBuildInfo
    self.createKernel = createKernel
    self.setKernelArgument = setKernelArgument
    self.enqueueKernel = enqueueKernel
    self.enqueueRead = enqueueRead
    self.enqueueWrite = enqueueWrite
    self.flush = flush
    self.finish = finish
  }
}
