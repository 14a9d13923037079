import Autograd
import Backends
import Devices
import Files
import HostResources
import TensorCore
import Testing

extension DeviceTests {
  @Suite(.enabled(if: TestDevice.isHere))
  struct BackendTests {
    @Test("numbers come back as they went, halves too")
    func movement() throws {
      let device = try TestDevice.open()
      withBackend(device) {
        let values = (0..<1000).map { Float($0) * 0.37 - 100 }
        #expect(Tensor(values, shape: [10, 100]).values == values)
        #expect(
          Tensor(values, shape: [10, 100]).slice(axis: 0, 3..<4).values == Array(values[300..<400]))
        let halves = HalfTensor(shape: [3], format: .binary16) { buffer in
          for (index, value) in [Float16(0.5), -3, 65504].enumerated() {
            buffer[index] = value.bitPattern
          }
        }
        #expect(halves.widened().values == [0.5, -3, 65504])
      }
    }

    @Test("the first number that is not finite, and sums of squares")
    func examination() throws {
      withBackend(try TestDevice.open()) {
        var values = [Float](repeating: 2, count: 10_000)
        #expect(Tensor(values, shape: [10_000]).isFinite)
        #expect(Tensor(values, shape: [10_000]).squareSum == 40_000)
        values[9_000] = .infinity
        values[7_777] = .nan
        #expect(Tensor(values, shape: [10_000]).firstNonFinite == 7_777)
      }
    }

    @Test("a device says in which precision it computes", arguments: ProductPrecision.allCases)
    func precision(_ precision: ProductPrecision) throws {
      let device = try TestDevice.open(precision)
      #expect(device.identity.hasSuffix(", products \(precision)"))
      #expect((device.activationFormat == .single) == (precision != .half))
    }

    @Test("attention to what is no number gives none", arguments: ProductPrecision.allCases)
    func attentionToNone(_ precision: ProductPrecision) throws {
      let device = try TestDevice.open(precision, emulatesTensorCores: true)
      let shape = AttentionShape(batch: 1, heads: 2, queryCount: 3, keyCount: 70, headWidth: 8)
      let values = withBackend(device) {
        func activations(_ count: Int, none: Int? = nil) -> Operand {
          let single = Operand(Storage(count: count, on: device))
          device.write(single, count: count) { buffer in
            for index in buffer.indices { buffer[index] = index == none ? .nan : 0.5 }
          }
          let values = Operand(Storage(count: count, format: device.activationFormat, on: device))
          device.perform(.convert(single, into: values, count: count))
          return values
        }
        // Of the first head.
        let (query, value) = (activations(3 * 16), activations(70 * 16))
        let (key, output) = (activations(70 * 16, none: 5 * 16), activations(3 * 16))
        device.perform(
          .attend(
            Attention(query: query, key: key, value: value, into: output, logSumExp: nil, shape)))
        return device.read(output, count: 3 * 16) { Array($0) }
      }
      for (index, value) in values.enumerated() {
        #expect(value.isNaN == (index % 16 < 8), "\(index)")
      }
    }

    @Test("memory is used again")
    func memory() throws {
      let device = try TestDevice.open()
      withBackend(device) {
        for _ in 0..<20 { _ = Tensor(repeating: 1, shape: [1 << 16]).scaled(by: 2).values }
      }
      #expect(device.peakBytes < 1 << 20)
    }

    @Test("what a device cannot hold ends the program with the code for memory")
    func outOfMemory() async {
      await #expect(processExitsWith: .exitCode(5)) {
        let device = try TestDevice.open()
        _ = Storage(count: 1 << 50, on: device)
      }
    }
  }
}

extension DeviceTests {
  @Suite
  struct DiscoveryTests {
    @Test("a device that is not there is a matter of settings")
    func missing() {
      let error = #expect(throws: DeviceError.self) { try Devices.open("opencl:9999") }
      #expect(error?.kind == .settings && error?.description.contains("opencl:9999") == true)
    }
  }
}
