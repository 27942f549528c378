package tasks

// Leading says whether the room does what only the leader does.
func (r *Room) Leading() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lead != nil
}
