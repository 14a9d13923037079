import Backends
import Devices
import Files
import Foundation
import Synchronization
import TestSupport
import Testing

extension DeviceTests {
  @Suite
  struct CheckedDevicesTests {
    /// The outcome of requesting a device: whether it was checked for that, and the error.
    private func ask(
      _ device: DeviceBackend, _ folder: String
    ) -> (compares: Bool, error: (any Error)?) {
      var compares = false
      do {
        try CheckedDevices(folder: folder).require(device) { compares = true }
        return (compares, nil)
      } catch {
        return (compares, error)
      }
    }

    private func file(_ folder: String) throws -> String {
      let names = try FileManager.default.contentsOfDirectory(atPath: folder)
      return try #require(names.count == 1 ? "\(folder)/\(names[0])" : nil, "\(names)")
    }

    @Test("a device is compared once, and trusted if it is right", .enabled(if: TestDevice.isHere))
    func right() throws {
      try withTemporaryFolder { folder in
        let device = try TestDevice.open()
        #expect(ask(device, folder) == (true, nil))
        #expect(ask(try TestDevice.open(), folder) == (false, nil))
        // Differences are what counts, not what a file calls them.
        let path = try file(folder)
        let text = try String(contentsOfFile: path, encoding: .utf8)
        let falsified = try #require(
          text.firstRange(of: /"clamp",\s*[^\]\s]+/).map {
            text.replacingCharacters(in: $0, with: #""clamp", 0.5"#)
          })
        try AtomicFile.replace(path, with: Array(falsified.utf8))
        let (compares, error) = ask(device, folder)
        #expect(!compares && (error as? DeviceCheck.Failure)?.findings.map(\.name) == ["clamp"])
      }
    }

    @Test("one wrong kernel refuses a device by its name", .enabled(if: TestDevice.isHere))
    func wrong() throws {
      try withTemporaryFolder { folder in
        let device = DeviceBackend(
          SyntheticDevice(try TestDevice.open().device, without: "clampElements"))
        for compares in [true, false] {
          let found = ask(device, folder)
          let failure = try #require(found.error as? DeviceCheck.Failure)
          #expect(found.compares == compares && failure.findings.map(\.name) == ["clamp"])
          #expect(
            "\(failure)".contains(
              "synthetic:0 gives wrong results in 1 of its operations, such as clamp"))
        }
      }
    }

    @Test("what fails ends no process, and is not kept", .enabled(if: TestDevice.isHere))
    func failing() throws {
      try withTemporaryFolder { folder in
        for failure in [
          DeviceError.failed(call: "clEnqueueNDRangeKernel", device: "synthetic:0", code: -5),
          .outOfMemory(byteCount: 1 << 20, device: "synthetic:0"),
        ] {
          let device = DeviceBackend(
            SyntheticDevice(try TestDevice.open().device, without: "transpose", failing: failure))
          let found = ask(device, folder)
          #expect(found.compares && found.error as? DeviceError == failure)
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder).isEmpty)
      }
    }

    @Test("a device that was lost is asked nothing more", .enabled(if: TestDevice.isHere))
    func lost() throws {
      try withTemporaryFolder { folder in
        let device = DeviceBackend(
          SyntheticDevice(
            try TestDevice.open().device, without: "transpose",
            failing: .failed(call: "cuMemcpyDtoH", device: "synthetic:0", code: 700),
            losesDevice: true))
        var names: [String] = []
        let check = DeviceCheck(device) { names.append($0.name) }
        let all = DeviceCheck.operations(.single)
        let found = #expect(throws: DeviceCheck.Loss.self) { try check.requireRight(device) }
        let loss = try #require(found)
        #expect(names == check.findings.map(\.name) && names.last == loss.operation)
        #expect(check.findings.dropLast().allSatisfy { $0.isRight })
        #expect(names.count + loss.notComparedCount == all.count && loss.notComparedCount > 0)

        // Another process goes on.
        let again = DeviceCheck(try TestDevice.open(), after: loss.operation)
        #expect(again.findings.map(\.name) == Array(all[names.count...]))
        #expect(again.notComparedCount == nil)
        let kept = CheckedDevices(folder: folder)
        kept.keep(check, of: device)
        kept.keep(again, of: try TestDevice.open())
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder).isEmpty)
      }
    }

    @Test(
      "every kernel is compared, products in all their forms", arguments: ProductPrecision.allCases)
    func coverage(_ precision: ProductPrecision) {
      let device = SyntheticDevice()
      let onTensorCores = precision != .single
      _ = DeviceCheck(
        DeviceBackend(device, precision: precision, emulatesTensorCores: onTensorCores))
      let kernels = device.compiled.flatMap { compiled in
        compiled.source.text.matches(of: /KERNEL (\w+)\(/).map { String($0.1) }
      }
      #expect(device.launched == Set(kernels) && kernels.contains("adamW"))
      func forms(_ programs: [(KernelSource, [String])]) -> Set<[String]> {
        Set(programs.map { [$0.name] + ($0.name.lowercased().contains("attention") ? [] : $1) })
      }
      #expect(
        forms(device.compiled.map { ($0, $1) })
          == forms(CUDACompilation.variants(precision, onTensorCores: onTensorCores)))
    }

    @Test("another driver, and a file that is damaged or of something else, count as none")
    func unknown() throws {
      try withTemporaryFolder { folder in
        let device = DeviceBackend(SyntheticDevice())
        func compares() -> Bool {
          let found = ask(device, folder)
          #expect(found.error is DeviceCheck.Failure)
          return found.compares
        }
        #expect(compares() && !compares())
        let path = try file(folder)
        let text = try String(contentsOfFile: path, encoding: .utf8)
        for other in [
          "", String(text.prefix(text.utf8.count / 2)), "null", "[]",
          text.replacing("synthetic:0", with: "synthetic:1"),
          text.replacing(#""format": 2"#, with: #""format": 0"#),
          text.replacing("AdamW", with: "Adam"),
          text.replacing(/"AdamW",\s*[^\]\s]+/, with: #""AdamW", -1"#),
          text.replacing(/"AdamW",\s*[^\]\s]+/, with: #""AdamW", "0""#),
        ] {
          #expect(other != text)
          try AtomicFile.replace(path, with: Array(other.utf8))
          #expect(compares(), "\(other.prefix(100))")
          #expect(!compares())
        }
        let found = ask(DeviceBackend(SyntheticDevice(driver: "2")), folder)
        #expect(found.compares && found.error is DeviceCheck.Failure)
      }
    }

    @Test("where nothing can be kept, a device is compared at every start")
    func unwritable() throws {
      try withTemporaryFolder { folder in
        // A file is no folder, whoever asks.
        try AtomicFile.replace("\(folder)/file", with: [])
        let device = DeviceBackend(SyntheticDevice())
        for _ in 0..<2 {
          for place in ["\(folder)/file", "\(folder)/file/below"] {
            let found = ask(device, place)
            #expect(found.compares && found.error is DeviceCheck.Failure)
          }
        }
      }
    }

    @Test("processes at the same time see a whole file")
    func several() throws {
      try withTemporaryFolder { folder in
        let device = DeviceBackend(SyntheticDevice())
        let check = DeviceCheck(device)
        let kept = CheckedDevices(folder: folder)
        kept.keep(check, of: device)
        let comparisons = Mutex(0)
        DispatchQueue.concurrentPerform(iterations: 40) { index in
          if index % 2 == 0 { return kept.keep(check, of: device) }
          try? kept.require(device) { comparisons.withLock { $0 += 1 } }
        }
        #expect(comparisons.withLock { $0 } == 0)
        _ = try file(folder)
      }
    }
  }
}

private func == (
  found: (compares: Bool, error: (any Error)?), expected: (compares: Bool, error: Never?)
) -> Bool {
  found.compares == expected.compares && found.error == nil
}
