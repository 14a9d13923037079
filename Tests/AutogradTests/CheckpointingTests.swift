import Autograd
import RandomStreams
import TensorCore
import Testing

@Suite("Checkpointed parts")
struct CheckpointingTests {
  /// Three residual layers with weights of their own, and what they share: a context.
  private struct Chain {
    let input = noise([6, 8], seed: 1).trainable()
    let context = noise([6, 8], seed: 2).trainable()
    let weights = (0..<3).map { noise([8, 8], seed: 3 + $0).trainable() }

    func gradients(isCheckpointed: Bool) -> [[Float]] {
      var h = input
      for weight in weights {
        h = checkpointed([h, context], if: isCheckpointed) { inputs in
          silu(linear(inputs[0], weight: weight) * inputs[1])
        }
      }
      let leaves = [input, context] + weights
      return Autograd.gradients(of: h.mapped(by: .square).sum(), for: leaves)
        .map { $0?.values ?? [] }
    }
  }

  @Test("gradients of inputs and of weights used inside are those of the plain run, bit for bit")
  func equalGradients() {
    let chain = Chain()
    let plain = chain.gradients(isCheckpointed: false)
    let found = chain.gradients(isCheckpointed: true)
    #expect(plain.allSatisfy { !$0.isEmpty })
    #expect(found == plain)
  }

  @Test("a part whose inputs need no gradient still gives those of its weights")
  func constantInput() {
    let x = noise([4, 5], seed: 1)
    let weight = noise([3, 5], seed: 2).trainable()
    let found = [false, true].map { isOn in
      gradients(
        of: checkpointed([x], if: isOn) { linear($0[0], weight: weight) }.sum(), for: [weight])[0]?
        .values
    }
    #expect(found[0] != nil)
    #expect(found[0] == found[1])
  }

  @Test("parts may contain parts")
  func nested() {
    let x = noise([4, 4], seed: 1).trainable()
    func gradient(isCheckpointed: Bool) -> [Float]? {
      let y = checkpointed([x], if: isCheckpointed) { outer in
        checkpointed([silu(outer[0])], if: isCheckpointed) { $0[0].mapped(by: .square) }
      }
      return gradients(of: y.sum(), for: [x])[0]?.values
    }
    #expect(gradient(isCheckpointed: true) == gradient(isCheckpointed: false))
  }

  @Test("a part is run once forward where nothing is recorded, and again in the backward pass")
  func runs() {
    let x = noise([3], seed: 1).trainable()
    var count = 0
    func run() -> Tensor {
      checkpointed([x]) {
        count += 1
        return silu($0[0])
      }
    }
    #expect(!withoutGradients { run() }.requiresGradient)
    #expect(count == 1)
    _ = gradients(of: run().sum(), for: [x])
    #expect(count == 3)
  }
}

private func noise(_ shape: [Int], seed: UInt64) -> Tensor {
  var stream = RandomStream(seed: seed, purpose: "checkpointing")
  return Tensor(shape: shape) { stream.fillNormal($0) }
}
