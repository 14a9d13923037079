extension UNetConfiguration {
  /// Numbers of a LoRA on every projection of every attention.
  public func adapterWeightCount(rank: Int) -> Int {
    // The number of places does not matter.
    parts(height: 1 << channels.count, width: 1 << channels.count, tokens: 1).reduce(0) {
      sum, part in
      guard case .transformer(let layers, _, let contextWidth, _) = part.kind else { return sum }
      let width = part.inputs
      // Self-attention four times width to width, attention to the prompt twice from its width.
      return sum + layers * rank * (4 * 2 * width + 2 * 2 * width + 2 * (width + contextWidth))
    }
  }
}
