import Autograd
import Backends
import Devices
import HostResources
import Synchronization
import Testing

extension DeviceTests {
  @Suite(.enabled(if: TestDevice.isHere))
  struct HalfPrecisionTests {
    @Test(
      "gradients in half precision are the host's within rounding",
      arguments: [(false, false), (true, false), (false, true)])
    func gradientsOfNetwork(emulatesTensorCores: Bool, hasLargeValues: Bool) throws {
      let device = try TestDevice.open(.half, emulatesTensorCores: emulatesTensorCores)
      var network = Network()
      let expected = network.results(on: HostBackend.shared)
      network.hasLargeValues = hasLargeValues
      let found = network.results(on: device)
      for (index, (array, values)) in zip(found, expected).enumerated() {
        let error = largestDifference(array, values)
        // The middles of both formats' steps, of a network of a dozen layers.
        #expect(error <= (hasLargeValues ? 0.05 : 0.006), "leaf \(index): \(error)")
        #expect(error > 1e-6, "leaf \(index) was not computed in half precision")
      }
    }

    @Test("a plan for a device counts what its pool held", arguments: [false, true])
    func planned(isHalf: Bool) throws {
      let device = try TestDevice.open(isHalf ? .half : .single)
      let plan = PlanningBackend(for: .device(activations: device.activationFormat))
      func run(on backend: any Backend) { _ = Network().results(on: backend) }
      run(on: device)
      run(on: plan)
      let share = Double(plan.peakBytes) / Double(device.peakBytes)
      #expect(0.9...1.1 ~= share, "\(plan.peakBytes) and \(device.peakBytes)")
    }

    @Test("how fast a device is, is measured with its own operations", arguments: [false, true])
    func rates(isHalf: Bool) throws {
      let device = try TestDevice.open(isHalf ? .half : .single)
      let profile = OperationProfile()
      profile.record {
        _ = Network().results(
          on: PlanningBackend(for: .device(activations: device.activationFormat)))
      }
      let rates = OperationRates(on: device)
      #expect(rates.seconds(of: profile) ?? 0 > 0 && rates.hasChanged)
    }

    @Test("what is recomputed has the same bits")
    func recomputed() throws {
      let device = try TestDevice.open(.half)
      var network = Network()
      let expected = network.results(on: device)
      network.isCheckpointed = true
      #expect(network.results(on: device) == expected)
    }

    /// The gradients of a parameter and an input through factors that multiply them, and how often the body ran.
    private func pass(
      _ input: Float, factors: [Float], on device: DeviceBackend
    ) -> (parameter: [Float], input: [Float], runs: Int) {
      withBackend(device) {
        let runs = Mutex(0)
        let x = Tensor(repeating: input, shape: [3, 4]).trainable()
        let weight = Tensor([1, 2, 3, 4], shape: [4]).trainable()
        let y = inHalfPrecision([x]) { inputs in
          runs.withLock { $0 += 1 }
          return factors.reduce(inputs[0] * weight) { $0.scaled(by: $1) }
        }
        let found = gradients(of: y.sum(), for: [weight, x])
        return (found[0]?.values ?? [], found[1]?.values ?? [], runs.withLock { $0 })
      }
    }

    @Test("a gradient that does not fit is computed again, smaller, and comes out exact")
    func retried() throws {
      let device = try TestDevice.open(.half)
      let once = pass(0.25, factors: [64], on: device)
      #expect(once.runs == 1 && once.parameter == [48, 48, 48, 48])
      let again = pass(0x1p-10, factors: [4096], on: device)
      #expect(again.runs == 2 && again.parameter == [12, 12, 12, 12])
      #expect(Array(again.input.prefix(4)) == [4096, 8192, 12288, 16384])
      // Far smaller than binary16 holds.
      let small = pass(0.25, factors: [0x1p-13], on: device)
      #expect(small.runs == 1 && small.parameter == [3, 3, 3, 3].map { $0 * 0x1p-15 })
    }

    @Test(
      "those that were handed on before one that did not fit are counted once",
      arguments: [1, 1 << 20])
    func handedOn(batchBytes: Int) throws {
      withBackend(try TestDevice.open(.half)) {
        let x = Tensor(repeating: 0x1p-10, shape: [3, 4])
        let near = Tensor([1, 2, 3, 4], shape: [4]).trainable()
        let far = Tensor([4, 3, 2, 1], shape: [4]).trainable()
        let runs = Mutex(0)
        GradientBatch.$byteCount.withValue(batchBytes) {
          var sums: [Tensor?] = [Tensor([1, 1, 1, 1], shape: [4]), nil]
          let y = inHalfPrecision([x]) { inputs in
            runs.withLock { $0 += 1 }
            return (inputs[0] * far).scaled(by: 4096) * near
          }
          addGradients(of: y.sum(), for: [near, far], to: &sums)
          #expect(sums[0]?.values == [49, 37, 25, 13])
          #expect(sums[1]?.values == [12, 24, 36, 48])
        }
        #expect(runs.withLock { $0 } == 2)
      }
    }

    @Test("one that never fits is passed on as it is")
    func neverFits() throws {
      let never = pass(0x1p-24, factors: [0x1p18, 0x1p18], on: try TestDevice.open(.half))
      #expect(never.runs == 4 && !never.parameter.allSatisfy(\.isFinite))
    }

    @Test("each of several results has its gradient, and numbers inside are of half precision")
    func severalResults() throws {
      withBackend(try TestDevice.open(.half)) {
        let table = Tensor([0.1, 0.2, 0.3, 0.4], shape: [2, 2]).trainable()
        let results: [Tensor] = inHalfPrecision([]) { _ in
          let rows = table.rows(at: [1, 0, 1])
          return [rows.scaled(by: 2), rows]
        }
        #expect(results[1].values == [0.3, 0.4, 0.1, 0.2, 0.3, 0.4].map { Float(Float16($0)) })
        let loss = results[0].sum() + results[1].slice(axis: 0, 0..<1).sum().scaled(by: 3)
        #expect(gradients(of: loss, for: [table])[0]?.values == [2, 2, 7, 7])
      }
    }
  }
}

struct HalfPlanTests {
  @Test("a plan in half precision counts activations as such")
  func bytes() {
    func peak(_ format: NumberFormat) -> Int {
      let plan = PlanningBackend(for: .device(activations: format))
      withBackend(plan) {
        let network = Network()
        let pictures = Tensor(repeating: 0, shape: [2, 256, 192, 5])
        _ = gradients(of: network.loss(pictures, pictures), for: network.leaves)
      }
      return plan.peakBytes
    }
    let (single, half) = (peak(.single), peak(.half(.binary16)))
    #expect(half < single * 7 / 10, "\(half) of \(single)")
  }

  @Test("gradients that are added to others are there once more at most")
  func addedGradients() {
    func sets(_ format: NumberFormat) -> Double {
      let (width, layers) = (4096, 20)
      let plan = PlanningBackend(for: .device(activations: format))
      withBackend(plan) {
        let weights = (0..<layers).map { _ in
          Tensor(repeating: 0, shape: [width, width]).trainable()
        }
        var sums = [Tensor?](repeating: nil, count: layers)
        for _ in 0..<2 {
          // Each of two pictures of a comparison.
          let scores = (0..<2).map { _ in
            inHalfPrecision([Tensor(repeating: 0, shape: [4, width])]) { inputs in
              weights.reduce(inputs[0]) { linear($0, weight: $1) }
            }.sum()
          }
          addGradients(of: scores[0] - scores[1], for: weights, to: &sums)
        }
      }
      return Double(plan.peakBytes) / Double(4 * width * width * layers)
    }
    // Weights, sums, and in half precision a batch of those of one call, some 256 MiB of 1280.
    #expect(sets(.single) < 2.3, "\(sets(.single))")
    #expect(sets(.half(.binary16)) < 2.6, "\(sets(.half(.binary16)))")
  }
}
