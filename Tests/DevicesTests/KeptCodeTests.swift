import Backends
import Devices
import Files
import Foundation
import Glibc
import TestSupport
import Testing

extension DeviceTests {
  @Suite
  struct KeptCodeTests {
    /// Clamps a number and returns what came out, as the device that nothing is computed on leaves it.
    private func compute(_ device: DeviceBackend) -> (value: Float, error: DeviceError?) {
      let (value, error) = device.noting {
        let operand = Operand(Storage(count: 1, on: device))
        device.write(operand, count: 1) { $0[0] = 3 }
        device.perform(.clamp(operand, into: operand, count: 1, -1...1))
        return device.read(operand, count: 1) { $0[0] }
      }
      return (value, error)
    }

    /// A device whose compiler is of this version, and the backend that uses it with what is kept of a version.
    private func open(
      _ compiler: String, in folder: String, of maker: String? = nil
    ) -> (device: SyntheticDevice, backend: DeviceBackend) {
      let device = SyntheticDevice(compiler: compiler)
      let backend = DeviceBackend(device)
      let identity = backend.ownIdentity.replacing(compiler, with: maker ?? compiler)
      backend.use(KeptCode(of: identity, in: "\(folder)/\(maker ?? compiler)"))
      return (device, backend)
    }

    private func files(_ folder: String) throws -> [String] {
      try FileManager.default.contentsOfDirectory(atPath: folder).map { "\(folder)/\($0)" }
    }

    @Test("what one compiler made is loaded after an update, and is what the device is called by")
    func updated() throws {
      try withTemporaryFolder { folder throws in
        let (first, begun) = open("v1", in: folder)
        #expect(compute(begun).error == nil && first.loaded == ["v1"])
        let (second, resumed) = open("v2", in: folder, of: "v1")
        #expect(resumed.identity == begun.identity && resumed.ownIdentity != begun.identity)
        #expect(compute(resumed).error == nil)
        #expect(second.loaded == ["v1"] && second.compiled.isEmpty)
        // What is new is compiled by the new one, and kept apart.
        resumed.use(KeptCode(of: resumed.ownIdentity, in: "\(folder)/v2"))
        #expect(compute(resumed).error == nil && second.loaded == ["v1", "v2"])
        #expect(try files("\(folder)/v1").count == 1)
        #expect(try files("\(folder)/v2").count == 1)
        // And what is loaded once is loaded.
        resumed.use(KeptCode(of: begun.identity, in: "\(folder)/v1"))
        #expect(compute(resumed).error == nil && second.loaded == ["v1", "v2"])
      }
    }

    @Test("kept code computes the same after an update", .enabled(if: TestDevice.isHere))
    func sameBits() throws {
      try withTemporaryFolder { folder throws in
        let other = try TestDevice.open().device
        // A compiler of another version, whose code computes something else.
        func open(_ compiler: String) -> DeviceBackend {
          DeviceBackend(
            SyntheticDevice(compiler: compiler, other, without: "clampElements", by: "v2"))
        }
        let (first, second) = (open("v1"), open("v2"))
        let kept = KeptCode(of: first.ownIdentity, in: "\(folder)/v1")
        for device in [first, second] {
          device.use(kept)
          #expect(compute(device).value == 1)
        }
        second.use(KeptCode(of: second.ownIdentity, in: "\(folder)/v2"))
        #expect(compute(second).value == 3)
        second.use(kept)
        #expect(compute(second).value == 1)
      }
    }

    @Test("who can continue what: the same product and kernels, and code that is there")
    func continued() throws {
      try withTemporaryFolder { folder throws in
        let (_, begun) = open("v1", in: folder)
        _ = compute(begun)
        let (_, later) = open("v2", in: folder)
        func canContinue(_ identity: String, _ place: String = "v1") -> Bool {
          later.canContinue(KeptCode(of: identity, in: "\(folder)/\(place)"))
        }
        #expect(canContinue(begun.identity) && !canContinue(begun.identity, "nowhere"))
        #expect(canContinue(later.ownIdentity, "nowhere"))
        for other in [
          begun.identity.replacing("v1", with: "v0"),
          begun.identity.replacing("synthetic synthetic", with: "synthetic another"),
          String(begun.identity.dropLast()), "cpu", "",
        ] { #expect(!canContinue(other), "\(other)") }
        // A driver runs machine code as it is.
        let driver = DeviceBackend(SyntheticDevice(driver: "2", compiler: "v1"))
        #expect(driver.identity == begun.identity)
      }
    }

    @Test("a program that the earlier compiler has not made is refused, not compiled by another")
    func missing() throws {
      try withTemporaryFolder { folder throws in
        let (device, backend) = open("v2", in: folder, of: "v1")
        let error = try #require(compute(backend).error)
        #expect(device.compiled.isEmpty && device.loaded.isEmpty && error.kind == .settings)
        #expect(
          error
            == .notKept(
              source: "elementwise", device: "synthetic:0", made: backend.identity,
              now: backend.ownIdentity))
        #expect("\(error)".contains("may_change_device=true"))
      }
    }

    @Test("a file that is cut, changed, of something else or without use counts as none")
    func damaged() throws {
      try withTemporaryFolder { folder throws in
        _ = compute(open("v1", in: folder).backend)
        let path = try #require(files("\(folder)/v1").first)
        let right = try RegularFile(path: path).readAll()
        var changed = right
        changed[changed.count - 1] ^= 1
        let (identity, source) = (open("v1", in: folder).backend.ownIdentity, Array("x\ny".utf8))
        let name = path.split(separator: "/").last.map(String.init) ?? ""
        let useless = Array(
          "spo kernels 1\n\(identity)\n\(SHA256.hexDigest(of: Array(name.utf8) + source))\nx\ny"
            .utf8)
        let others: [[UInt8]] = [
          [], Array(right.prefix(100)), Array(right.dropLast()), changed, right + [0], useless,
          Array(String(decoding: right, as: UTF8.self).replacing("v1", with: "v0").utf8),
        ]
        for bytes in others {
          try AtomicFile.replace(path, with: bytes)
          let (later, refused) = open("v2", in: folder, of: "v1")
          #expect(compute(refused).error != nil && later.compiled.isEmpty)
          let (device, backend) = open("v1", in: folder)
          #expect(compute(backend).error == nil && device.compiled.count == 1)
          #expect(try RegularFile(path: path).readAll() == right)
        }
        // A folder, or a pipe that nobody writes to, in its place.
        try FileManager.default.removeItem(atPath: path)
        #expect(mkfifo(path, 0o600) == 0)
        let (device, backend) = open("v1", in: folder)
        #expect(compute(backend).error == nil && device.compiled.count == 1)
      }
    }

    @Test("where nothing can be kept, all is compiled")
    func unwritable() throws {
      try withTemporaryFolder { folder throws in
        try AtomicFile.replace("\(folder)/v1", with: [])
        for _ in 0..<2 {
          let (device, backend) = open("v1", in: folder)
          #expect(compute(backend).error == nil && device.compiled.count == 1)
        }
        let reader = DeviceBackend(SyntheticDevice(compiler: "v3"))
        reader.use(
          KeptCode(of: reader.ownIdentity, in: "\(folder)/v3", isReadOnly: true))
        #expect(compute(reader).error == nil)
        #expect(!FileManager.default.fileExists(atPath: "\(folder)/v3"))
      }
    }

    @Test("processes at the same time see whole programs")
    func several() throws {
      try withTemporaryFolder { folder throws in
        _ = compute(open("v1", in: folder).backend)
        DispatchQueue.concurrentPerform(iterations: 40) { index in
          // Half of them know nothing of what is there, and write it again.
          let (device, backend) =
            index % 2 == 0 ? open("v2", in: folder, of: "v1") : open("v1", in: folder)
          if index % 2 == 1 {
            let (source, definitions) = CUDACompilation.variants(.single, onTensorCores: false)[0]
            let code = (try? device.machineCode(source, definitions: definitions)) ?? []
            KeptCode(of: backend.identity, in: "\(folder)/v1").keep(code, of: source, definitions)
          }
          #expect(compute(backend).error == nil && device.loaded == ["v1"])
        }
        #expect(try files("\(folder)/v1").count == 1)
      }
    }

    @Test("kept code is what is compared with the host", .enabled(if: TestDevice.isHere))
    func compared() throws {
      try withTemporaryFolder { folder throws in
        let other = try TestDevice.open().device
        let right = DeviceBackend(SyntheticDevice(compiler: "v1", other))
        let kept = KeptCode(of: right.ownIdentity, in: "\(folder)/v1")
        let checked = CheckedDevices(folder: "\(folder)/cache")
        right.use(kept)
        // One source's kernels are kept: those of the others cannot be wrong.
        #expect(compute(right).value == 1)
        for broken in ["transpose", "clampElements"] {
          let device = SyntheticDevice(compiler: "v2", other, without: broken, by: "v1")
          let backend = DeviceBackend(device)
          try checked.require(backend)
          backend.use(kept)
          var comparisons = 0
          let isRight = broken == "transpose"
          for _ in 0..<2 {
            do {
              try checked.require(backend) { comparisons += 1 }
              #expect(isRight)
            } catch let failure as DeviceCheck.Failure {
              #expect(!isRight && failure.findings.map(\.name) == ["clamp"])
            }
          }
          // What is not all compared is compared again.
          #expect(comparisons == 2 && device.loaded.contains("v1"))
        }
      }
    }
  }
}
